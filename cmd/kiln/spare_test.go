package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

// The first collection of garbage comes late, the following ones as usual, and
// GOGC counts.
func TestSpareFirstGC(t *testing.T) {
	usual := debug.SetGCPercent(100)
	defer debug.SetGCPercent(usual)
	spareFirstGC(func(string) string { return "50" })
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("with GOGC: %d", got)
	}
	spareFirstGC(func(string) string { return "" })
	if got := debug.SetGCPercent(firstGrowth); got != firstGrowth {
		t.Errorf("at first: %d", got)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		runtime.GC()
		got := debug.SetGCPercent(100)
		if got == 100 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("after a collection: %d", got)
		}
		debug.SetGCPercent(got)
		time.Sleep(time.Millisecond)
	}
}

// A server that holds little collects late, one that holds more sooner, and one
// that holds much as usual.
func TestSpareGC(t *testing.T) {
	for live, want := range map[uint64]int{0: mostGrowth, 2 << 20: mostGrowth, 4 << 20: 600, 10 << 20: 180, roomyHeap / 2: 100, 24 << 20: 50, roomyHeap: 50, 100 << 20: 100} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes: %d, want %d", live, got, want)
		}
	}
	if least := growth(0) * (4 << 20) / 100; least > roomyHeap {
		t.Errorf("Go collects nothing before %d bytes", least)
	}
	usual := debug.SetGCPercent(100)
	defer debug.SetGCPercent(usual)
	stop := spareGC(func(string) string { return "" })
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		got := debug.SetGCPercent(100)
		if got > 100 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it never changes")
		}
	}
	stop()
	debug.SetGCPercent(50)
	for range 3 {
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
	if got := debug.SetGCPercent(100); got != 50 {
		t.Errorf("afterwards: %d", got)
	}
}

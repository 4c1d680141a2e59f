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

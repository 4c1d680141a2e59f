package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// firstGrowth is how much, in percent of the least heap of 4 MB, a process
// grows before its garbage is collected the first time.
const firstGrowth = 800

// spareFirstGC keeps commands that end soon from collecting garbage: the first
// collection comes at some 32 MB, the following ones as usual, and a GOGC in
// the environment counts as ever.
func spareFirstGC(getenv func(string) string) {
	if getenv("GOGC") != "" {
		return
	}
	usual := debug.SetGCPercent(firstGrowth)
	afterGC(func() bool { debug.SetGCPercent(usual); return false })
}

// roomyHeap is what a server's heap grows to, in bytes, before its garbage is
// collected: less than it had at the start (see firstGrowth).
const roomyHeap = 28 << 20

// usualGrowth is GOGC where nobody says otherwise.
const usualGrowth = 100

// spareGC keeps a server that holds little from collecting garbage all the
// time: at the usual growth of 100% that would be every few thousand requests.
func spareGC(getenv func(string) string) (stop func()) {
	if getenv("GOGC") != "" {
		return func() {}
	}
	var ended atomic.Bool
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	runs, now := 0, 0
	afterGC(func() bool {
		if ended.Load() {
			return false
		}
		metrics.Read(live)
		// Setting it stops the world: not for little. At first spareFirstGC may
		// have the last word.
		if want := growth(live[0].Value.Uint64()); runs < 2 || want < now-now/8 || want > now+now/8 {
			debug.SetGCPercent(want)
			now = want
		}
		runs++
		return true
	})
	return func() {
		ended.Store(true)
		debug.SetGCPercent(usualGrowth)
	}
}

// leastGrowth is GOGC where as much lives as is used by uploads and caches at
// their fullest: their garbage is little, so collecting sooner saves memory for
// nothing much.
const leastGrowth = 50

// mostGrowth is GOGC at which Go's least heap, of 4 MB at 100%, is roomyHeap.
const mostGrowth = roomyHeap * 100 / (4 << 20)

// growth is the GOGC, in percent, with which what lives grows to roomyHeap, or a
// little above it. What is far above it collects as usual.
func growth(live uint64) int {
	live = max(live, 1<<20) // 0 before the first collection
	switch {
	case live >= 2*roomyHeap:
		return usualGrowth
	case live >= roomyHeap:
		return leastGrowth
	}
	return min(mostGrowth, max(leastGrowth, int((roomyHeap-live)*100/live)))
}

// afterGC calls do after each collection, until it says no.
func afterGC(do func() bool) {
	type witness struct{ _ [16]byte }
	runtime.SetFinalizer(&witness{}, func(*witness) {
		if do() {
			afterGC(do)
		}
	})
}

package main

import (
	"runtime"
	"runtime/debug"
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
	type witness struct{ _ [16]byte }
	runtime.SetFinalizer(&witness{}, func(*witness) { debug.SetGCPercent(usual) })
}

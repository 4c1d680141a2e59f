package main

import "runtime"

// leastProcessors is how many goroutines of a server run at once, at least.
const leastProcessors = 4

// manyProcessors keeps a server on few cores going while it waits for the disk:
// Go counts a goroutine that waits in a write or an fsync as running, for a
// while, and with one for each core all others would wait with it. A GOMAXPROCS
// in the environment counts.
func manyProcessors(getenv func(string) string) (stop func()) {
	if getenv("GOMAXPROCS") != "" || runtime.GOMAXPROCS(0) >= leastProcessors {
		return func() {}
	}
	runtime.GOMAXPROCS(leastProcessors)
	return runtime.SetDefaultGOMAXPROCS
}

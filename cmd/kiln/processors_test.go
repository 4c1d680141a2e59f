package main

import (
	"runtime"
	"testing"
)

// A server on few cores runs more goroutines at once, unless it is told how many.
func TestManyProcessors(t *testing.T) {
	defer runtime.SetDefaultGOMAXPROCS()
	for _, c := range []struct {
		now, want int
		env       string
	}{{now: 1, want: leastProcessors}, {now: leastProcessors + 3, want: leastProcessors + 3}, {now: 1, want: 1, env: "1"}} {
		runtime.GOMAXPROCS(c.now)
		stop := manyProcessors(func(string) string { return c.env })
		if got := runtime.GOMAXPROCS(0); got != c.want {
			t.Errorf("%d, GOMAXPROCS=%s: got %d, want %d", c.now, c.env, got, c.want)
		}
		stop()
	}
}

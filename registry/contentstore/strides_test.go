//go:build !full

package contentstore_test

import "time"

// Of the steps that tests of interleavings try, everyday runs take some.
const (
	zombieSteps      = false // but writes
	interleaveStride = 9
	intoStride       = 2
)

// soakTime is how long a race lasts.
func soakTime(short time.Duration) time.Duration { return short }

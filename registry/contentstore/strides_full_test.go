//go:build full

package contentstore_test

import (
	"os"
	"time"
)

const (
	zombieSteps      = true
	interleaveStride = 2
	intoStride       = 1
)

// soakTime is how long a race lasts: KILN_SOAK if that is given.
func soakTime(short time.Duration) time.Duration {
	if d, err := time.ParseDuration(os.Getenv("KILN_SOAK")); err == nil {
		return d
	}
	return 4 * short
}

package filestore

import (
	"testing"
	"time"
)

// TestRested: where a file system keeps whole seconds, two changes within one
// look the same, so what changed a second ago is neither listed from memory
// nor sent unhashed (FAULTS 10, 11).
func TestRested(t *testing.T) {
	now := time.Unix(1_000_000, 987_654_321)
	for _, c := range []struct {
		change time.Time
		want   bool
	}{
		{now, false},
		{now.Add(-settled / 2), false},
		{now.Add(-2 * settled), true},
		{now.Add(time.Hour), false}, // the clock was set back since
		{time.Unix(1_000_000, 0), false},
		{time.Unix(999_999, 0), false},
		{time.Unix(1_000_000, 900_000_000), false}, // steps of 10 ms
		{time.Unix(999_990, 0), true},
	} {
		if got := rested(c.change, now); got != c.want {
			t.Errorf("changed at %v, now %v: %v, want %v", c.change.UnixNano(), now.UnixNano(), got, c.want)
		}
	}
}

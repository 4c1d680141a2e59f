package debian

import "time"

func Normalise(t Target, at time.Time) error { return nil }

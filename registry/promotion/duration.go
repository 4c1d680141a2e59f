package promotion

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span whose text is Go's, or whole days: "90s", "12h",
// "30d".
type Duration time.Duration

// day is 24 hours, whatever the calendar says.
const day = 24 * time.Hour

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if number, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return fmt.Errorf("%q is no time span: write 90s, 12h or 30d", clip(s))
		}
		*d = Duration(time.Duration(n) * day)
		return nil
	}
	span, err := time.ParseDuration(s)
	if err != nil || span < 0 {
		return fmt.Errorf("%q is no time span: write 90s, 12h or 30d", clip(s))
	}
	*d = Duration(span)
	return nil
}

// String is the shortest text of d.
func (d Duration) String() string {
	span := time.Duration(d)
	if span >= day && span%day == 0 {
		return strconv.FormatInt(int64(span/day), 10) + "d"
	}
	s := span.String()
	if span >= time.Minute && span%time.Minute == 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if span >= time.Hour && span%time.Hour == 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

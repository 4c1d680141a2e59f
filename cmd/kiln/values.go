package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"kiln/registry/promotion"
)

// span is a flag for a time span: 90s, 12h or 30d. One that stands at zero
// shows no default.
type span promotion.Duration

// String implements pflag.Value.
func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return promotion.Duration(*s).String()
}

// Set implements pflag.Value.
func (s *span) Set(text string) error { return (*promotion.Duration)(s).UnmarshalText([]byte(text)) }

// Type implements pflag.Value.
func (s *span) Type() string { return "duration" }

// parseSize reads a number of bytes with a unit or none: 1048576, "64KiB",
// "10GiB", "5GB".
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "BKMGTikmgt ")
	unit, ok := map[string]int64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
	}[strings.ToUpper(strings.TrimSpace(s[len(number):]))]
	n, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is no size: write a whole number with B, KiB, MiB, GiB, TiB, KB, MB, GB or TB", s)
	}
	return n * unit, nil
}

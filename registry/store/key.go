package store

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckKey refuses, with ErrInvalidKey, what is no name of an object or a
// pointer: see the package comment. The first components "tmp" and "locks" are
// kept for implementations.
func CheckKey(key string) error {
	if len(key) > MaxKeyLength {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrInvalidKey, len(key), MaxKeyLength)
	}
	if !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0 {
		return fmt.Errorf("%w: %q is not UTF-8 without NUL", ErrInvalidKey, key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%w: %q has the component %q", ErrInvalidKey, key, part)
		}
	}
	if first, _, _ := strings.Cut(key, "/"); first == "tmp" || first == "locks" {
		return fmt.Errorf("%w: %q is reserved", ErrInvalidKey, first)
	}
	return nil
}

package ociserver

import (
	"strconv"
	"strings"

	"kiln/registry"
)

// span is a part of a blob: length bytes from offset.
type span struct{ offset, length int64 }

// parseRange reads a Range header (RFC 9110, section 14.2) for size bytes. Of
// what it need not understand, several ranges included, it answers nothing:
// the whole is sent then. CodeRangeInvalid for a range that is behind the end
// or backwards.
func parseRange(header string, size int64) (*span, error) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(spec, ",") {
		return nil, nil
	}
	first, last, ok := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok {
		return nil, nil
	}
	if first == "" {
		n, ok := number(last)
		if !ok {
			return nil, nil
		}
		n = min(n, size)
		if n == 0 {
			return nil, outside(size)
		}
		return &span{size - n, n}, nil
	}
	from, ok := number(first)
	to := size - 1
	if ok && last != "" {
		to, ok = number(last)
	}
	switch {
	case !ok:
		return nil, nil
	case from >= size || to < from:
		return nil, outside(size)
	}
	return &span{from, min(to, size-1) - from + 1}, nil
}

func outside(size int64) error {
	return registry.Errorf(registry.CodeRangeInvalid, "the range is not within the blob's %d bytes", size)
}

// parseContentRange reads the Content-Range of a chunk, "first-last"
// (distribution spec, "Pushing a blob in chunks").
func parseContentRange(header string) (span, error) {
	first, last, _ := strings.Cut(header, "-")
	from, ok1 := number(first)
	to, ok2 := number(last)
	if !ok1 || !ok2 || to < from {
		return span{}, registry.Errorf(registry.CodeBlobUploadInvalid, "the Content-Range of a chunk is FIRST-LAST, in bytes")
	}
	return span{from, to - from + 1}, nil
}

// number reads digits, at most 18 of them: no sum of two overflows.
func number(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

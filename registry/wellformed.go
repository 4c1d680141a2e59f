package registry

import "strings"

// Every request is checked for what it names, in several places, so this is
// written out. TestWellFormed holds it against the regular expressions of the
// distribution spec ("Pulling manifests") and of digests.

// isName is
// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*.
func isName(s string) bool {
	for {
		part, rest, more := strings.Cut(s, "/")
		if !isComponent(part) {
			return false
		}
		if !more {
			return true
		}
		s = rest
	}
}

// isComponent is [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func isComponent(s string) bool {
	n := len(s)
	if n == 0 || !isLowerAlnum(s[0]) || !isLowerAlnum(s[n-1]) {
		return false
	}
	for i := 1; i < n-1; {
		from, c := i, s[i]
		if isLowerAlnum(c) {
			i++
			continue
		}
		for s[i] == c { // ends, as the last byte is no separator
			i++
		}
		run := i - from
		if ok := c == '-' || c == '.' && run == 1 || c == '_' && run <= 2; !ok || !isLowerAlnum(s[i]) {
			return false
		}
	}
	return true
}

// isTag is [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func isTag(s string) bool {
	if len(s) == 0 || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isLowerAlnum(c) && (c < 'A' || c > 'Z') && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// isDigest is sha256:[0-9a-f]{64} or sha512:[0-9a-f]{128}.
func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	if ok {
		return len(hex) == 64 && isHex(hex)
	}
	hex, ok = strings.CutPrefix(s, "sha512:")
	return ok && len(hex) == 128 && isHex(hex)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }

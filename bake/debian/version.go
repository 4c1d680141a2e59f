package debian

import "strings"

// CompareVersions orders two package versions as dpkg does (deb-version(7)):
// negative when a is older than b, positive when it is newer. Any text has a
// place in the order; ValidVersion says whether it is a version at all.
func CompareVersions(a, b string) int {
	if a == b {
		return 0
	}
	epochA, upstreamA, revisionA := splitVersion(a)
	epochB, upstreamB, revisionB := splitVersion(b)
	if c := compareDigits(epochA, epochB); c != 0 {
		return c
	}
	if c := compareParts(upstreamA, upstreamB); c != 0 {
		return c
	}
	return compareParts(revisionA, revisionB)
}

// ValidVersion says whether text has the form [epoch:]upstream[-revision].
func ValidVersion(text string) bool {
	epoch, upstream, revision := splitVersion(text)
	if strings.Contains(text, ":") && (epoch == "" || strings.Trim(epoch, "0123456789") != "") {
		return false
	}
	if upstream == "" || upstream[0] < '0' || upstream[0] > '9' || strings.HasSuffix(text, "-") {
		return false
	}
	for i := 0; i < len(upstream)+len(revision); i++ {
		c := (upstream + revision)[i]
		if !isDigit(c) && !isLetter(c) && !strings.ContainsRune(".+-~:", rune(c)) {
			return false
		}
	}
	return true
}

func splitVersion(text string) (epoch, upstream, revision string) {
	upstream = text
	if i := strings.IndexByte(upstream, ':'); i >= 0 {
		epoch, upstream = upstream[:i], upstream[i+1:]
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		upstream, revision = upstream[:i], upstream[i+1:]
	}
	return epoch, upstream, revision
}

// compareParts compares runs of non-digits by versionRank and runs of digits
// by value, in turn, until one differs.
func compareParts(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			if c := versionRank(a) - versionRank(b); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		digitsA, digitsB := leadingDigits(a), leadingDigits(b)
		if c := compareDigits(digitsA, digitsB); c != 0 {
			return c
		}
		a, b = a[len(digitsA):], b[len(digitsB):]
	}
	return 0
}

// versionRank is the weight of the first byte of text: a tilde sorts before
// the end, the end (or a digit) before letters, letters before the rest.
func versionRank(text string) int {
	switch {
	case text == "" || isDigit(text[0]):
		return 0
	case text[0] == '~':
		return -1
	case isLetter(text[0]):
		return int(text[0])
	}
	return int(text[0]) + 256
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func leadingDigits(text string) string {
	for i := 0; i < len(text); i++ {
		if !isDigit(text[i]) {
			return text[:i]
		}
	}
	return text
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

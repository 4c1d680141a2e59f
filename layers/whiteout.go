package layers

import "strings"

type whiteoutKind int

const (
	whiteoutNone whiteoutKind = iota
	whiteoutFile
	whiteoutOpaque
	whiteoutOther // aufs' own bookkeeping: means nothing to a layer
	whiteoutBad
)

// parseWhiteout tells from an entry's last name whether it is a whiteout, and
// of what.
func parseWhiteout(base string) (target string, kind whiteoutKind) {
	target, ok := strings.CutPrefix(base, WhiteoutPrefix)
	switch {
	case !ok:
		return "", whiteoutNone
	case base == OpaqueName:
		return "", whiteoutOpaque
	case strings.HasPrefix(target, WhiteoutPrefix):
		return "", whiteoutOther
	case target == "" || target == "." || target == "..":
		return target, whiteoutBad
	}
	return target, whiteoutFile
}

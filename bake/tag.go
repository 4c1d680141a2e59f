package bake

import (
	"strings"
	"time"
)

// VersionTag names a version: [version-]YYYYMMDDTHHMMSSZ-commit12[-dirty].
// A "+" in version, which no tag may hold, becomes "_".
func VersionTag(version string, at time.Time, rev Revision) string {
	var b strings.Builder
	if version != "" {
		b.WriteString(strings.ReplaceAll(version, "+", "_") + "-")
	}
	b.WriteString(at.UTC().Format("20060102T150405Z") + "-" + rev.Short())
	if rev.Dirty {
		b.WriteString("-dirty")
	}
	return b.String()
}

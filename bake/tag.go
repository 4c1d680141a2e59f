package bake

import (
	"regexp"
	"strings"
	"sync"
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

// tagTime finds the time in a version tag.
var tagTime = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`([0-9]{8}T[0-9]{6}Z)-[0-9a-f]{12}(-dirty)?$`)
})

// tagCommit finds the commit in a version tag.
var tagCommit = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[0-9]{8}T[0-9]{6}Z-([0-9a-f]{12})(-dirty)?$`)
})

// newest is the version tag that was made last; "" if none of tags is one.
func newest(tags []string) string {
	best, at := "", ""
	for _, tag := range tags {
		if m := tagTime().FindStringSubmatch(tag); m != nil && m[1] > at {
			best, at = tag, m[1]
		}
	}
	return best
}

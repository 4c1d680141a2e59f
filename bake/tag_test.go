package bake

import (
	"testing"
	"time"

	"kiln/registry"
)

func TestVersionTag(t *testing.T) {
	at := time.Date(2026, 11, 23, 5, 4, 3, 0, time.FixedZone("far", 9*3600))
	commit := "0123456789abcdef0123456789abcdef01234567"
	for _, c := range []struct {
		version string
		rev     Revision
		want    string
	}{
		{"", Revision{Commit: commit}, "20261122T200403Z-0123456789ab"},
		{"1.4.0", Revision{Commit: commit}, "1.4.0-20261122T200403Z-0123456789ab"},
		{"1.4.0+build.5", Revision{Commit: commit, Dirty: true}, "1.4.0_build.5-20261122T200403Z-0123456789ab-dirty"},
		{"", Revision{Dirty: true}, "20261122T200403Z-000000000000-dirty"},
	} {
		got := VersionTag(c.version, at, c.rev)
		if got != c.want {
			t.Errorf("VersionTag(%q, %+v) = %q, want %q", c.version, c.rev, got, c.want)
		}
		if !registry.IsVersionTag(got) || registry.CheckTag(got) != nil {
			t.Errorf("%q is no version tag", got)
		}
	}
}

func TestNewest(t *testing.T) {
	for _, c := range []struct {
		tags []string
		want string
	}{
		{nil, ""},
		{[]string{"latest", "sha256-abc.sig"}, ""},
		{[]string{
			"9.0-20261101T000000Z-0123456789ab",
			"1.0-20261102T000000Z-0123456789ab",
			"20261101T120000Z-000000000000-dirty",
			"latest",
		}, "1.0-20261102T000000Z-0123456789ab"},
	} {
		if got := newest(c.tags); got != c.want {
			t.Errorf("newest(%q) = %q, want %q", c.tags, got, c.want)
		}
	}
}

package template

import (
	"strings"
	"testing"
)

func TestAllowCovers(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, tc := range []struct {
		allow             Allow
		file, where, rule string
		want              bool
	}{
		{Allow{Path: "/usr/share/doc/**"}, "/usr/share/doc/x/README", "packages", "r", true},
		{Allow{Path: "/usr/share/doc"}, "/usr/share/doc/x/README", "packages", "r", true},
		{Allow{Path: "/usr/share/doc"}, "/usr/share/document", "packages", "r", false},
		{Allow{Path: "/usr/*"}, "/srv/usr/x", "packages", "r", false},
		{Allow{Path: "**/*.pem"}, "/srv/deep/a.pem", "copy", "r", true},
		{Allow{Path: "/srv/a.jar"}, "/srv/a.jar!in/b.pem", "copy", "r", true},
		{Allow{Path: "/srv/a.jar!in/*"}, "/srv/a.jar!in/b.pem", "copy", "r", true},
		{Allow{Path: "/srv/a.jar!other/*"}, "/srv/a.jar!in/b.pem", "copy", "r", false},
		{Allow{Path: "/srv/**", Rule: "r"}, "/srv/a", "copy", "r", true},
		{Allow{Path: "/srv/**", Rule: "other"}, "/srv/a", "copy", "r", false},
		{Allow{SHA256: sum}, "/srv/a", "copy", "r", true},
		{Allow{SHA256: strings.Repeat("b", 64)}, "/srv/a", "copy", "r", false},
		{Allow{Path: "env PUBLIC_*"}, "", "env PUBLIC_KEY", "r", true},
		{Allow{Path: "env PUBLIC_*"}, "", "env KEY", "r", false},
		{Allow{Path: "/**"}, "", "env KEY", "r", false},
	} {
		if got := tc.allow.Covers(tc.file, tc.where, tc.rule, sum); got != tc.want {
			t.Errorf("%+v covers %q (%s): %v", tc.allow, tc.file, tc.where, got)
		}
	}
}

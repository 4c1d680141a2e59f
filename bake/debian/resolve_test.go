package debian

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// world builds a universe from lines "name version field=value; field=value".
func world(t testing.TB, lines ...string) *Archive {
	t.Helper()
	return worlds(t, map[string][]string{"s": lines})
}

func worlds(t testing.TB, suites map[string][]string) *Archive {
	t.Helper()
	var indexes []*index
	pins := map[string]int{}
	for _, suite := range []string{"s", "s-security"} {
		var text strings.Builder
		for _, line := range suites[suite] {
			words := strings.SplitN(line, " ", 3)
			more := ""
			if len(words) == 3 {
				for field := range strings.SplitSeq(words[2], "; ") {
					name, value, _ := strings.Cut(field, "=")
					more += name + ": " + value + "\n"
				}
			}
			text.WriteString(stanzaOf(words[0], words[1], more))
		}
		ix, err := parseIndex(suite, text.String())
		if err != nil {
			t.Fatal(err)
		}
		indexes = append(indexes, ix)
		pins[suite] = 500
	}
	return &Archive{arch: "amd64", universe: newUniverse("amd64", indexes, pins)}
}

func chosenOf(pkgs []Package) string {
	var out []string
	for _, p := range pkgs {
		out = append(out, p.Name+"="+p.Version)
	}
	return strings.Join(out, " ")
}

func TestResolve(t *testing.T) {
	cases := []struct {
		name  string
		lines []string
		want  string
		req   []string
	}{
		{"depends", []string{"a 1 Depends=b, c (>= 2)", "b 1", "c 2", "d 1"}, "a=1 b=1 c=2", []string{"a"}},
		{"pre-depends", []string{"a 1 Pre-Depends=b", "b 1"}, "a=1 b=1", []string{"a"}},
		{"circular", []string{"a 1 Depends=b", "b 1 Depends=c", "c 1 Depends=a"}, "a=1 b=1 c=1", []string{"a"}},
		{"on itself", []string{"a 1 Depends=x; Provides=x"}, "a=1", []string{"a"}},
		{"no recommends", []string{"a 1 Recommends=b; Suggests=b", "b 1"}, "a=1", []string{"a"}},
		{"newest", []string{"a 1", "a 1.10", "a 1.9"}, "a=1.10", []string{"a"}},
		{"pinned", []string{"a 1", "a 2"}, "a=1", []string{"a=1"}},
		{"first alternative", []string{"a 1 Depends=b | c", "b 1", "c 1"}, "a=1 b=1", []string{"a"}},
		{"alternative at hand", []string{"a 1 Depends=b | c", "b 1", "c 1"}, "a=1 c=1", []string{"a", "c"}},
		{"alternative that exists", []string{"a 1 Depends=b | c", "c 1"}, "a=1 c=1", []string{"a"}},
		{"alternative new enough", []string{"a 1 Depends=b (>= 2) | c", "b 1", "c 1"}, "a=1 c=1", []string{"a"}},
		{"alternative that can be installed", []string{"a 1 Depends=b | c", "b 1 Depends=none", "c 1"}, "a=1 c=1", []string{"a"}},
		{"alternative that fits", []string{"a 1 Depends=b | c", "b 1 Conflicts=d", "c 1", "d 1"}, "a=1 c=1 d=1", []string{"a", "d"}},
		{"one provider", []string{"a 1 Depends=v", "b 1 Provides=v"}, "a=1 b=1", []string{"a"}},
		{"real before virtual", []string{"a 1 Depends=v", "b 1 Provides=v; Priority=required", "v 1"}, "a=1 v=1", []string{"a"}},
		{"provider of priority", []string{"a 1 Depends=v", "b 1 Provides=v; Priority=optional", "c 1 Provides=v; Priority=standard", "d 1 Provides=v"}, "a=1 c=1", []string{"a"}},
		{"provider mentioned last", []string{"a 1 Depends=v", "d 1 Provides=v", "c 1 Provides=v"}, "a=1 c=1", []string{"a"}},
		{"provider mentioned before", []string{"a 1 Depends=v; Suggests=c", "d 1 Provides=v", "c 1 Provides=v"}, "a=1 d=1", []string{"a"}},
		{"versioned provides", []string{"a 1 Depends=v (>= 2)", "b 1 Provides=v", "c 1 Provides=v (= 1)", "d 1 Provides=v (= 2)"}, "a=1 d=1", []string{"a"}},
		{"requested virtual", []string{"b 1 Provides=v"}, "b=1", []string{"v"}},
		{"qualifiers", []string{"a 1 Depends=b:any, c:amd64", "b 1 Multi-Arch=allowed", "c 1"}, "a=1 b=1 c=1", []string{"a"}},
		{"conflict with own provides", []string{"a 1 Provides=v; Conflicts=v"}, "a=1", []string{"a"}},
		{"breaks older only", []string{"a 1 Breaks=b (<< 2)", "b 2"}, "a=1 b=2", []string{"a", "b"}},
		{
			"choice taken back",
			[]string{"a 1 Depends=b | c", "b 1", "c 1", "d 1 Depends=e", "e 1 Conflicts=b"},
			"a=1 c=1 d=1 e=1",
			[]string{"a", "d"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := world(t, c.lines...).Resolve(t.Context(), Request{Packages: c.req})
			if err != nil || chosenOf(got) != c.want {
				t.Errorf("chose %q, %v, want %q", chosenOf(got), err, c.want)
			}
		})
	}
}

// TestResolveErrors holds FAULTS 27.
func TestResolveErrors(t *testing.T) {
	cases := []struct {
		name  string
		lines []string
		want  string
		req   []string
	}{
		{"too old", []string{"foo 1 Depends=bar (>= 2)", "bar 1.0"}, `packages: "foo" cannot be installed: foo depends on bar (>= 2), but bar is 1.0`, []string{"foo"}},
		{"chain", []string{"a 1 Depends=b", "b 1 Depends=c"}, `"a" cannot be installed: a depends on b; b depends on c, but no package c is in s`, []string{"a"}},
		{"unknown", []string{"a 1"}, `"zap" cannot be installed: no package of that name in s`, []string{"zap"}},
		{"several providers", []string{"a 1 Provides=v", "b 1 Provides=v"}, `virtual: name one of those that provide it: a, b`, []string{"v"}},
		{"unversioned provides", []string{"a 1 Depends=v (>= 1)", "b 1 Provides=v"}, `no provider of v has such a version`, []string{"a"}},
		{"conflict", []string{"a 1", "b 1 Conflicts=a"}, `"b" cannot be installed: b conflicts with a; a is asked for as well`, []string{"a", "b"}},
		{"conflict reversed", []string{"a 1 Conflicts=b", "b 1"}, `"b" cannot be installed: a conflicts with b`, []string{"a", "b"}},
		{"breaks", []string{"a 1 Depends=c", "b 1 Breaks=c (<< 2)", "c 1"}, `b breaks c (<< 2), which c 1 meets`, []string{"a", "b"}},
		{"conflict with provides", []string{"a 1 Provides=v", "b 1 Provides=v; Conflicts=v"}, `b conflicts with v, which a 1 meets`, []string{"a", "b"}},
		{"version not there", []string{"a 1"}, `the archive has a at 1, not at 2`, []string{"a=2"}},
		{"other architecture", []string{"a 1 Depends=b:i386", "b 1"}, `b is not for b:i386`, []string{"a"}},
		{"any without allowed", []string{"a 1 Depends=b:any", "b 1"}, `b is not for b:any`, []string{"a"}},
		{"unreadable relation", []string{"a 1 Depends=b (>> )"}, `no version`, []string{"a"}},
		{"not a name", []string{"a 1"}, `not a package name`, []string{"--a"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := world(t, c.lines...).Resolve(t.Context(), Request{Packages: c.req})
			var resolve *ResolveError
			if !errors.As(err, &resolve) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("chose %q, error %v, want one with %q", chosenOf(got), err, c.want)
			}
		})
	}
}

// TestResolveBounded holds that an unsatisfiable web of alternatives ends
// soon: without memory of what failed it would take 12^24 attempts (FAULTS 27).
func TestResolveBounded(t *testing.T) {
	var lines []string
	for level := range 24 {
		var next []string
		for i := range 12 {
			next = append(next, webName(level+1, i))
		}
		for i := range 12 {
			lines = append(lines, webName(level, i)+" 1 Depends="+strings.Join(next, " | "))
		}
	}
	_, err := world(t, lines...).Resolve(t.Context(), Request{Packages: []string{webName(0, 0)}})
	if err == nil {
		t.Error("what cannot be installed was")
	}
}

func webName(level, i int) string {
	return "p" + string(rune('a'+level)) + string(rune('a'+i))
}

func TestResolveVariants(t *testing.T) {
	a := worlds(t, map[string][]string{
		"s": {
			"base 1 Essential=yes; Depends=libc", "libc 1", "apt 1 Priority=required; Depends=gpgv",
			"gpgv 1", "app 1 Depends=libc", "extra 1 Priority=important",
		},
		"s-security": {"base 2 Essential=yes; Depends=libc", "hidden 1 Essential=yes"},
	})
	for variant, want := range map[string]string{
		"minbase":    "app=1 apt=1 base=2 gpgv=1 libc=1",
		"essential":  "app=1 base=2 libc=1",
		"distroless": "app=1 libc=1",
		"":           "app=1 libc=1",
	} {
		got, err := a.Resolve(t.Context(), Request{Variant: variant, Packages: []string{"app"}})
		if err != nil || chosenOf(got) != want {
			t.Errorf("%s: chose %q, %v, want %q", variant, chosenOf(got), err, want)
		}
		i := slices.IndexFunc(got, func(p Package) bool { return p.Requested })
		if i < 0 || got[i].Name != "app" {
			t.Errorf("%s: app is not marked as requested", variant)
		}
	}
	if _, err := a.Resolve(t.Context(), Request{Variant: "maxi"}); err == nil {
		t.Error("an unknown variant is no error")
	}
	if _, err := world(t, "a 1").Resolve(t.Context(), Request{Variant: "minbase"}); err == nil {
		t.Error("a base without essential packages is no error")
	}
}

func TestResolveOnParent(t *testing.T) {
	a := world(t, "app 1 Depends=libc (>= 2)", "tool 1 Depends=libc", "libc 3", "evil 1", "mail 1", "v-real 1 Provides=v", "w 1 Depends=v")
	parent := func(version string) []Installed {
		return []Installed{
			{Name: "libc", Version: version, Arch: "amd64"},
			{Name: "guard", Version: "1", Arch: "all", Conflicts: "evil", Provides: "v"},
			{Name: "mail", Version: "1", Arch: "i386"},
		}
	}
	cases := []struct {
		name, version, pkg, want, wantErr string
	}{
		{"satisfied", "2", "app", "app=1", ""},
		{"not upgraded", "1", "tool", "tool=1", ""},
		{"there already", "1", "libc", "", ""},
		{"virtual there already", "1", "w", "w=1", ""},
		{"of another architecture", "1", "mail", "mail=1", ""},
		{"too old", "1", "app", "", "app depends on libc (>= 2), but libc is 1 in the parent and 3 in the archive: lock the parent again"},
		{"conflict", "1", "evil", "", "guard conflicts with evil; guard is in the parent"},
		{"pinned", "1", "libc=3", "", "libc is installed at 1 in the parent"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := a.Resolve(t.Context(), Request{Packages: []string{c.pkg}, Installed: parent(c.version)})
			if c.wantErr == "" && (err != nil || chosenOf(got) != c.want) {
				t.Errorf("chose %q, %v, want %q", chosenOf(got), err, c.want)
			}
			if c.wantErr != "" && (err == nil || !strings.Contains(err.Error(), c.wantErr)) {
				t.Errorf("error is %v, want one with %q", err, c.wantErr)
			}
		})
	}
}

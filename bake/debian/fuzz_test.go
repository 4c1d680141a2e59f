package debian

import (
	"strings"
	"testing"

	"pault.ag/go/debian/version"
)

// FuzzCompareVersions compares our order with another implementation's for
// what both take for versions, and checks that it is an order.
func FuzzCompareVersions(f *testing.F) {
	for _, v := range []string{"1.0", "1.0~rc1", "1:0.9-1", "1.0-1+b1", "2.36-9+deb12u13", "0", "1a", "1+", "1.0-0", "00:1"} {
		f.Add(v, "1.0")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		c := CompareVersions(a, b)
		if (c < 0) != (CompareVersions(b, a) > 0) || CompareVersions(a, a) != 0 {
			t.Errorf("%q and %q have no order", a, b)
		}
		if !ValidVersion(a) || !ValidVersion(b) || len(a)+len(b) > 60 {
			return
		}
		va, errA := version.Parse(a)
		vb, errB := version.Parse(b)
		if errA != nil || errB != nil {
			return
		}
		if want := version.Compare(va, vb); (c < 0) != (want < 0) || (c > 0) != (want > 0) {
			t.Errorf("%q and %q: %d, want %d", a, b, c, want)
		}
	})
}

func FuzzParseRelations(f *testing.F) {
	f.Add("a, b (>= 1) | c:any, d:amd64 (<< 2~)")
	f.Add("a (= 1")
	f.Add(" , |,")
	f.Fuzz(func(t *testing.T, field string) {
		list, err := parseRelations(field)
		if err != nil {
			return
		}
		var parts []string
		for _, r := range list {
			parts = append(parts, r.String())
		}
		again, err := parseRelations(strings.Join(parts, ", "))
		if err != nil || len(again) != len(list) {
			t.Errorf("%q became %q: %v", field, parts, err)
		}
	})
}

func FuzzParseRelease(f *testing.F) {
	f.Add("Suite: s\nDate: Sat, 11 Jul 2026 10:16:37 UTC\nSHA256:\n " + strings.Repeat("a", 64) + " 12 main/binary-amd64/Packages\n")
	f.Add("Date: x\n\nDate: y\n")
	f.Fuzz(func(t *testing.T, body string) {
		r, err := parseRelease(body)
		if err != nil {
			return
		}
		for name, file := range r.files {
			if !isHexDigest(file.sha256) || file.size < 0 || name == "" {
				t.Errorf("%q: %+v", name, file)
			}
		}
		if r.date.IsZero() {
			t.Error("no date")
		}
	})
}

func FuzzParseIndex(f *testing.F) {
	f.Add(stanzaOf("hello", "1.0", "Depends: a | b (>= 1)\nDescription: x\n y\n .\n z\n"))
	f.Add("Package: a\n\n\nPackage: b")
	f.Add("\n\n a\n")
	f.Fuzz(func(t *testing.T, text string) {
		ix, err := parseIndex("s", text)
		if err != nil {
			return
		}
		a := &Archive{arch: "amd64", universe: newUniverse("amd64", []*index{ix}, map[string]int{"s": 500})}
		for _, p := range ix.packages {
			if err := checkPackage(&p); err != nil {
				t.Error(err)
			}
			pkgs, err := a.Resolve(t.Context(), Request{Packages: []string{p.Name}})
			if err == nil && len(pkgs) == 0 {
				t.Errorf("%s resolves to nothing", p.Name)
			}
		}
	})
}

func FuzzParseSources(f *testing.F) {
	f.Add("Types: deb\nURIs: http://m.example.com\nSuites: s\nSigned-By:\n " + armorStart + "\n .\n x\n")
	f.Add("deb [arch=amd64 signed-by=/k] http://m.example.com s main # x\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) ([]sourceEntry, error){parseSources, parseSourcesList} {
			entries, err := parse(text)
			if err != nil {
				continue
			}
			for _, e := range entries {
				if e.Mirror == "" || e.Suite == "" {
					t.Errorf("entry without mirror or suite: %+v", e)
				}
			}
		}
	})
}

func FuzzVerifyInRelease(f *testing.F) {
	key := testKey(f, testNow.AddDate(-1, 0, 0), 0)
	text := "Suite: s\nDate: x\n"
	f.Add(clearSign(f, text, key))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\nx"))
	keys, err := loadKeyring([]string{publicKey(f, key)})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := verifyInRelease(data, keys, testNow)
		if err == nil && strings.TrimRight(body, "\n") != strings.TrimRight(text, "\n") {
			t.Errorf("accepted %q", body)
		}
	})
}

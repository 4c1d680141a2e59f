package debian

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// testHost writes files below a folder that stands for /.
func testHost(t *testing.T, files map[string]string) Host {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Host{Root: root}
}

func binaryKey(t *testing.T, key *openpgp.Entity) string {
	t.Helper()
	var out bytes.Buffer
	if err := key.Serialize(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// brief writes sources as "suite mirror components", one a line.
func brief(sources []Source) string {
	var out []string
	for _, s := range sources {
		out = append(out, fmt.Sprintf("%s %s %s", s.Suite, s.Mirror, strings.Join(s.Components, ",")))
	}
	return strings.Join(out, "\n")
}

func TestHostSources(t *testing.T) {
	ours, theirs := testKey(t, testNow, 0), testKey(t, testNow, 0)
	keys := map[string]string{
		"usr/share/keyrings/debian-archive-keyring.gpg":      binaryKey(t, ours),
		"usr/share/keyrings/debian-archive-removed-keys.gpg": binaryKey(t, theirs),
		"etc/apt/keyrings/vendor.asc":                        publicKey(t, theirs),
		"etc/apt/keyrings/copy.asc":                          publicKey(t, ours),
		"etc/apt/keyrings/both.asc":                          publicKey(t, ours) + publicKey(t, theirs),
		"etc/apt/mirrors/debian.list":                        "https://list.example.com/debian\npriority:2\n",
		"etc/apt/sources.list.d/disabled.sources.disabled":   "Types: deb\nURIs: http://x.example.com\nSuites: bookworm\n",
	}
	signed := "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
	inline := "Signed-By:\n " + strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(publicKey(t, ours)), "\n\n", "\n.\n"), "\n", "\n ") + "\n"
	print := fmt.Sprintf("%X", ours.PrimaryKey.Fingerprint)
	cases := []struct{ name, file, text, want string }{
		{
			"deb822", "debian.sources",
			"# comment\nTypes: deb deb-src\nURIs: http://m.example.com/debian\nSuites: bookworm bookworm-updates bookworm-backports\nComponents: main contrib\n" + signed +
				"\nTypes: deb\nURIs: http://m.example.com/debian-security\nSuites: bookworm-security\nComponents: main\n" + signed,
			"bookworm http://m.example.com/debian main,contrib\nbookworm-updates http://m.example.com/debian main,contrib\nbookworm-security http://m.example.com/debian-security main",
		},
		{
			"one-line", "x.list",
			"deb [arch=" + HostArch() + " signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m.example.com/debian bookworm main # comment\n" +
				"deb-src http://m.example.com/debian bookworm main\ndeb http://m.example.com/debian-security bookworm-security main\n",
			"bookworm http://m.example.com/debian main\nbookworm-security http://m.example.com/debian-security main",
		},
		{"components joined", "x.list", "deb http://m.example.com/debian bookworm main\ndeb http://m.example.com/debian bookworm contrib main\n", "bookworm http://m.example.com/debian main,contrib"},
		{"inline key", "x.sources", "Types: deb\nURIs: http://m.example.com/debian\nSuites: bookworm\nComponents: main\n" + inline, "bookworm http://m.example.com/debian main"},
		{"fingerprint", "x.sources", "Types: deb\nURIs: http://m.example.com/debian\nSuites: bookworm\nComponents: main\nSigned-By: " + print + "\n", "bookworm http://m.example.com/debian main"},
		{"the same key in another file", "x.list", "deb [signed-by=/etc/apt/keyrings/copy.asc] http://m.example.com/debian bookworm main\n", "bookworm http://m.example.com/debian main"},
		{"mirror list", "x.list", "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\n", "bookworm https://list.example.com/debian main"},
		{"folder", "x.list", "deb file:/srv/debian bookworm main\n", "bookworm /srv/debian main"},
		{"vendor's key", "x.list", "deb [signed-by=/etc/apt/keyrings/vendor.asc] http://vendor.example.com bookworm main\n", ""},
		{"vendor's key beside ours", "x.list", "deb [signed-by=/etc/apt/keyrings/both.asc] http://vendor.example.com bookworm main\n", ""},
		{"removed key", "x.list", "deb [signed-by=/usr/share/keyrings/debian-archive-removed-keys.gpg] http://vendor.example.com bookworm main\n", ""},
		{"key that is not there", "x.list", "deb [signed-by=/etc/apt/keyrings/none.asc] http://vendor.example.com bookworm main\n", ""},
		{"other fingerprint", "x.sources", "Types: deb\nURIs: http://m.example.com\nSuites: bookworm\nSigned-By: " + strings.Repeat("AB", 20) + "\n", ""},
		{"disabled", "x.sources", "Enabled: no\nTypes: deb\nURIs: http://m.example.com\nSuites: bookworm\nComponents: main\n" + signed, ""},
		{"other architecture", "x.list", "deb [arch=sparc] http://m.example.com/debian bookworm main\n", ""},
		{"only updates", "x.list", "deb http://m.example.com/debian bookworm-updates main\n", ""},
		{"other suite", "x.list", "deb http://m.example.com/debian trixie main\n", ""},
		{"unknown method", "x.list", "deb cdrom:[Debian]/ bookworm main\n", ""},
		{"flat", "x.list", "deb http://m.example.com bookworm/\n", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"etc/apt/sources.list.d/" + c.file: c.text}
			for path, text := range keys {
				files[path] = text
			}
			got, err := testHost(t, files).Sources("bookworm")
			if brief(got) != c.want {
				t.Errorf("sources are\n%s\n%v, want\n%s", brief(got), err, c.want)
			}
			if c.want == "" && (err == nil || !strings.Contains(err.Error(), "`mirror` and `keyring`")) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestHostSourcesAssumed(t *testing.T) {
	key := binaryKey(t, testKey(t, testNow, 0))
	h := testHost(t, map[string]string{
		"etc/apt/sources.list":                            "deb http://m.example.com/debian bookworm main\ndeb [check-valid-until=no signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://n.example.com/debian bookworm main\n",
		"usr/share/keyrings/debian-archive-keyring.gpg":   key,
		"etc/apt/trusted.gpg.d/debian-archive-stable.gpg": key,
		"etc/apt/trusted.gpg.d/vendor.gpg":                binaryKey(t, testKey(t, testNow, 0)),
	})
	got, err := h.Sources("bookworm")
	if err != nil || len(got) != 2 {
		t.Fatalf("sources are %v, %v", got, err)
	}
	if !got[0].Assumed || got[0].IgnoreValidUntil || len(got[0].Keyring) != 2 || slices.ContainsFunc(got[0].Keyring, func(k string) bool { return strings.Contains(k, "vendor") }) {
		t.Errorf("entry without a key: %+v", got[0])
	}
	if got[1].Assumed || !got[1].IgnoreValidUntil || len(got[1].Keyring) != 1 {
		t.Errorf("entry with a key: %+v", got[1])
	}
}

func TestHostSourcesDamaged(t *testing.T) {
	for _, text := range []string{"deb [arch=amd64 http://m.example.com bookworm main\n", "deb http://m.example.com\n"} {
		h := testHost(t, map[string]string{"etc/apt/sources.list": text})
		if _, err := h.Sources("bookworm"); err == nil || !strings.Contains(err.Error(), "sources.list: line 1") {
			t.Errorf("%q: error is %v", text, err)
		}
	}
}

func TestMirrorSources(t *testing.T) {
	got := MirrorSources("bookworm", "https://m.example.com/debian/", []string{"main"}, []string{"k.gpg"})
	want := "bookworm https://m.example.com/debian/ main\nbookworm-updates https://m.example.com/debian/ main\nbookworm-security https://m.example.com/debian-security/ main"
	if brief(got) != want {
		t.Errorf("sources are\n%s\nwant\n%s", brief(got), want)
	}
	if got[0].Optional || !got[1].Optional || !got[2].Optional {
		t.Error("the suite itself must be there, the others need not")
	}
	if got := MirrorSources("noble", "https://m.example.com/ubuntu", nil, nil); got[2].Mirror != "https://m.example.com/ubuntu" {
		t.Errorf("security of a mirror of another kind: %+v", got[2])
	}
}

func TestKeyringForms(t *testing.T) {
	one, two := testKey(t, testNow, 0), testKey(t, testNow, 0)
	path := filepath.Join(t.TempDir(), "k.gpg")
	if err := os.WriteFile(path, []byte(binaryKey(t, one)+binaryKey(t, two)), 0o644); err != nil {
		t.Fatal(err)
	}
	fromFile, err := loadKeyring([]string{path})
	if err != nil {
		t.Fatal(err)
	}
	inline, err := loadKeyring([]string{publicKey(t, one) + publicKey(t, two)})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := fingerprints(fromFile), fingerprints(inline); len(a) != 2 || !reflect.DeepEqual(a, b) {
		t.Errorf("keys are %v and %v", a, b)
	}
	for _, entries := range [][]string{nil, {path + ".none"}, {armorStart + "\nrubbish"}} {
		if _, err := loadKeyring(entries); err == nil {
			t.Errorf("%q is no error", entries)
		}
	}
}

package debian

import (
	"bytes"
	"crypto"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// testNow is the clock of the tests that judge keys and dates.
var testNow = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// testKey makes a signing key; lifetime 0 means that it does not expire.
func testKey(t testing.TB, created time.Time, lifetime time.Duration) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("archive", "", "archive@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256,
		Time: func() time.Time { return created }, KeyLifetimeSecs: uint32(lifetime / time.Second),
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publicKey is the armoured public half.
func publicKey(t testing.TB, key *openpgp.Entity) string {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

// clearSign signs text with all keys.
func clearSign(t testing.TB, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	var out bytes.Buffer
	w, err := clearsign.EncodeMulti(&out, private, &packet.Config{
		DefaultHash: crypto.SHA256, Time: func() time.Time { return testNow.Add(-time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// testArchive is a tiny archive in a folder.
type testArchive struct {
	t    testing.TB
	dir  string
	key  *openpgp.Entity
	date time.Time
	// header holds further lines of the Release file.
	header string
}

func newTestArchive(t testing.TB) *testArchive {
	t.Helper()
	return &testArchive{
		t: t, dir: t.TempDir(), date: testNow.Add(-2 * time.Hour),
		key: testKey(t, testNow.AddDate(-1, 0, 0), 0),
	}
}

func (a *testArchive) write(path string, data []byte) {
	a.t.Helper()
	path = filepath.Join(a.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		a.t.Fatal(err)
	}
}

// release is the text of a suite's Release file that lists these files.
func (a *testArchive) release(suite string, files map[string][]byte) string {
	var text strings.Builder
	fmt.Fprintf(&text, "Origin: Example\nSuite: %s\nCodename: %s\nDate: %s\n", suite, suite, a.date.Format(time.RFC1123))
	fmt.Fprintf(&text, "Architectures: all amd64\nComponents: main\nNo-Support-for-Architecture-all: Packages\n%sSHA256:\n", a.header)
	for name, data := range files {
		fmt.Fprintf(&text, " %s %d %s\n", sum(data), len(data), name)
	}
	return text.String()
}

// publish writes a suite with one Packages file, signed by the archive's key.
func (a *testArchive) publish(suite, packages string) {
	a.t.Helper()
	name := "main/binary-amd64/Packages"
	a.write("dists/"+suite+"/"+name, []byte(packages))
	release := a.release(suite, map[string][]byte{name: []byte(packages)})
	a.write("dists/"+suite+"/InRelease", clearSign(a.t, release, a.key))
}

func (a *testArchive) source(suite string) Source {
	return Source{Mirror: "file://" + a.dir, Suite: suite, Keyring: []string{publicKey(a.t, a.key)}}
}

// open opens the archive's suites at testNow.
func (a *testArchive) open(suites ...string) (*Archive, error) {
	o := Options{Arch: "amd64", Cache: Cache{a.t.TempDir()}, Now: testNow}
	for _, s := range suites {
		o.Sources = append(o.Sources, a.source(s))
	}
	return Open(a.t.Context(), o)
}

// stanzaOf is a package's paragraph in a Packages file; more holds further
// lines.
func stanzaOf(name, version, more string) string {
	data := name + version
	return fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: pool/%s_%s.deb\nSize: %d\nSHA256: %s\n%s\n",
		name, version, name, version, len(data), sum([]byte(data)), more)
}

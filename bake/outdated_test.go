package bake

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"kiln/bake/template"
)

// tinyArchive is a signed archive in a folder, with a package list for each of
// its suites.
type tinyArchive struct {
	t    *testing.T
	dir  string
	key  *openpgp.Entity
	date time.Time
}

func newTinyArchive(t *testing.T) *tinyArchive {
	t.Helper()
	a := &tinyArchive{t: t, dir: t.TempDir(), date: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	var err error
	a.key, err = openpgp.NewEntity("archive", "", "archive@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA256, Time: func() time.Time { return a.date.AddDate(-1, 0, 0) },
	})
	a.check(err)
	return a
}

func (a *tinyArchive) check(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *tinyArchive) keyring() string {
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	a.check(err)
	a.check(a.key.Serialize(w))
	a.check(w.Close())
	return out.String() + "\n"
}

func (a *tinyArchive) write(name string, data []byte) {
	path := filepath.Join(a.dir, name)
	a.check(os.MkdirAll(filepath.Dir(path), 0o755))
	a.check(os.WriteFile(path, data, 0o644))
}

// publish writes a suite that has these packages, each as "name version
// dependencies".
func (a *tinyArchive) publish(suite string, packages ...string) {
	a.t.Helper()
	var list strings.Builder
	for _, p := range packages {
		words := strings.Fields(p)
		fmt.Fprintf(&list, "Package: %s\nVersion: %s\nArchitecture: amd64\nEssential: yes\nFilename: pool/%s_%s.deb\nSize: 1\nSHA256: %x\n",
			words[0], words[1], words[0], words[1], sha256.Sum256([]byte(p)))
		if len(words) > 2 {
			fmt.Fprintf(&list, "Depends: %s\n", strings.Join(words[2:], ", "))
		}
		list.WriteString("\n")
	}
	const name = "main/binary-amd64/Packages"
	a.write("dists/"+suite+"/"+name, []byte(list.String()))
	release := fmt.Sprintf("Suite: %s\nCodename: %s\nDate: %s\nArchitectures: all amd64\nComponents: main\n"+
		"No-Support-for-Architecture-all: Packages\nSHA256:\n %x %d %s\n",
		suite, suite, a.date.Format(time.RFC1123), sha256.Sum256([]byte(list.String())), list.Len(), name)
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, a.key.PrivateKey, &packet.Config{DefaultHash: crypto.SHA256, Time: func() time.Time { return a.date }})
	a.check(err)
	_, err = w.Write([]byte(release))
	a.check(err)
	a.check(w.Close())
	a.write("dists/"+suite+"/InRelease", out.Bytes())
	a.date = a.date.Add(time.Hour)
}

// recipe is one image of the archive.
func (a *tinyArchive) recipe(mirror string, packages ...string) *template.Recipe {
	return &template.Recipe{Project: "acme", Dir: a.dir, Images: []*template.Image{{
		Name: "base", FullName: "acme/base", Tier: template.TierBase, Platforms: []string{"linux/amd64"}, Packages: packages,
		Debian: &template.Debian{
			Suite: "stable", Variant: template.VariantEssential, Components: []string{"main"}, Mirror: mirror, Keyring: a.keyring(),
		},
	}}}
}

func (a *tinyArchive) locker() *Locker {
	cache, err := OpenCache(a.t.TempDir())
	a.check(err)
	a.t.Cleanup(func() { cache.Close() })
	return &Locker{Cache: cache, Now: a.date.Add(24 * time.Hour)}
}

func TestOutdated(t *testing.T) {
	a := newTinyArchive(t)
	a.publish("stable", "calm 1", "shell 1.0 library-one", "library-one 1", "tool 1")
	a.publish("stable-security")
	recipe, locker := a.recipe(a.dir), a.locker()
	lock, err := locker.Lock(t.Context(), recipe, nil)
	a.check(err)
	before := fmt.Sprint(lock)
	list, err := locker.Outdated(t.Context(), recipe, lock)
	a.check(err)
	if len(list) != 1 || list[0].Any() {
		t.Fatalf("of a fresh lock %+v", list)
	}

	a.publish("stable", "calm 1", "shell 1.0 library-one", "library-one 1", "tool 2")
	a.publish("stable-security", "shell 1.1 library-two", "library-two 1")
	list, err = locker.Outdated(t.Context(), recipe, lock)
	a.check(err)
	got := fmt.Sprintf("%+v", list[0])
	want := "{Image:acme/base Platform:linux/amd64 Stale:false " +
		"Packages:[{Name:shell Arch:amd64 Locked:1.0 Available:1.1 Suite:stable-security Security:true} " +
		"{Name:tool Arch:amd64 Locked:1 Available:2 Suite:stable Security:false}] " +
		"Added:[{Name:library-two Arch:amd64 Locked: Available:1 Suite:stable-security Security:false}] Removed:[] Moved:[]}"
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	if fmt.Sprint(lock) != before {
		t.Error("the lock that was compared has changed")
	}

	// What came out as a security update counts as one when the suite itself
	// has taken it in.
	a.publish("stable", "calm 1", "shell 1.1 library-one", "library-one 1", "tool 1")
	list, err = locker.Outdated(t.Context(), recipe, lock)
	a.check(err)
	if p := list[0].Packages; len(p) != 1 || !p[0].Security {
		t.Errorf("got %+v, want shell as a security update", p)
	}

	recipe.Images[0].Packages = []string{"tool"}
	list, err = locker.Outdated(t.Context(), recipe, lock)
	a.check(err)
	if !list[0].Stale {
		t.Error("a template that asks for more than is locked is not stale")
	}
}

// Without the archive there is no answer, and the error says what was asked.
func TestOutdatedUnreachable(t *testing.T) {
	a := newTinyArchive(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	a.check(err)
	mirror := "http://" + l.Addr().String() + "/debian"
	l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	recipe := a.recipe(mirror)
	_, err = a.locker().Outdated(ctx, recipe, &template.Lock{Images: map[string]template.LockedImage{}})
	if err == nil || !strings.Contains(err.Error(), `image "base"`) || !strings.Contains(err.Error(), "suite stable") {
		t.Errorf("error %v, want one that names image and suite", err)
	}
	if !errors.As(err, new(net.Error)) {
		t.Errorf("%v is not seen as an error of the network", err)
	}
}

func TestMoved(t *testing.T) {
	img := &template.Image{From: template.From{Kind: template.FromChannel, Name: "acme/base", Channel: "prod"}}
	have := template.LockedImage{FromDigest: "sha256:1", Froms: map[string]string{"a:b": "sha256:3", "same": "x"}, Git: map[string]string{"url v1": "aaa", "gone": "y"}, Go: "go1.25"}
	now := template.LockedImage{FromDigest: "sha256:2", Froms: map[string]string{"a:b": "sha256:4", "same": "x", "new": "z"}, Git: map[string]string{"url v1": "bbb"}, Go: "go1.26"}
	got := fmt.Sprint(moved(img, have, now))
	if want := "[{from acme/base:prod sha256:1 sha256:2} {image a:b sha256:3 sha256:4} {git url v1 aaa bbb} {go the host's Go go1.25 go1.26}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := moved(img, have, have); len(got) != 0 {
		t.Errorf("nothing moved, got %v", got)
	}
}

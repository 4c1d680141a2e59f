package debian

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

func TestOpen(t *testing.T) {
	a := newTestArchive(t)
	a.publish("trusty", stanzaOf("hello", "1.0", ""))
	got, err := a.open("trusty")
	if err != nil {
		t.Fatal(err)
	}
	if !got.Date().Equal(a.date) {
		t.Errorf("date is %v, want %v", got.Date(), a.date)
	}
	pkgs, err := got.Resolve(t.Context(), Request{Packages: []string{"hello"}})
	if err != nil || len(pkgs) != 1 || pkgs[0].Suite != "trusty" || pkgs[0].Path != "pool/hello_1.0.deb" || !pkgs[0].Requested {
		t.Errorf("resolved %+v, %v", pkgs, err)
	}
}

// TestOpenRefuses holds what an archive must not get away with: each case
// changes one thing of a good archive (FAULTS 26).
func TestOpenRefuses(t *testing.T) {
	packages := stanzaOf("hello", "1.0", "")
	name := "main/binary-amd64/Packages"
	listed := map[string][]byte{name: []byte(packages)}
	cases := []struct {
		name      string
		change    func(a *testArchive)
		want      string
		untrusted bool
	}{
		{"unsigned", func(a *testArchive) {
			a.write("dists/s/InRelease", []byte(a.release("s", listed)))
		}, "release is not signed", true},
		{"other key", func(a *testArchive) {
			a.write("dists/s/InRelease", clearSign(t, a.release("s", listed), testKey(t, testNow.AddDate(-1, 0, 0), 0)))
		}, "is not in the keyring", true},
		{"changed after signing", func(a *testArchive) {
			signed := clearSign(t, a.release("s", listed), a.key)
			a.write("dists/s/InRelease", bytes.Replace(signed, []byte("Origin: Example"), []byte("Origin: Exampel"), 1))
		}, "bad signature", true},
		{"text before", func(a *testArchive) {
			a.write("dists/s/InRelease", append([]byte(a.release("s", listed)+"\n"), clearSign(t, a.release("s", listed), a.key)...))
		}, "release is not signed", true},
		{"text after", func(a *testArchive) {
			a.write("dists/s/InRelease", append(clearSign(t, a.release("s", listed), a.key), "\nOrigin: Evil\n"...))
		}, "text after the signature", true},
		{"sha1", func(a *testArchive) {
			a.write("dists/s/InRelease", weakSign(t, a.release("s", listed), a.key))
		}, "which is broken", true},
		{"expired key", func(a *testArchive) {
			a.key = testKey(t, testNow.AddDate(-2, 0, 0), 24*time.Hour)
			a.publish("s", packages)
		}, "expired on", true},
		{"future key", func(a *testArchive) {
			a.key = testKey(t, testNow.AddDate(1, 0, 0), 0)
			a.publish("s", packages)
		}, "valid only from", true},
		{"revoked key", func(a *testArchive) {
			if err := a.key.RevokeKey(packet.KeyCompromised, "", nil); err != nil {
				t.Fatal(err)
			}
		}, "is revoked", true},
		{"past Valid-Until", func(a *testArchive) {
			a.header = "Valid-Until: " + testNow.Add(-time.Minute).Format(time.RFC1123) + "\n"
			a.publish("s", packages)
		}, "release expired", false},
		{"another suite", func(a *testArchive) {
			a.write("dists/s/InRelease", clearSign(t, a.release("other", listed), a.key))
		}, `release is for suite "other"`, false},
		{"no date", func(a *testArchive) {
			a.write("dists/s/InRelease", clearSign(t, strings.Replace(a.release("s", listed), "\nDate:", "\nDated:", 1), a.key))
		}, "field Date", false},
		{"Packages of another content", func(a *testArchive) {
			a.write("dists/s/"+name, []byte(strings.Replace(packages, "hello", "hullo", 1)))
		}, "hash sum mismatch", false},
		{"Packages longer", func(a *testArchive) {
			a.write("dists/s/"+name, []byte(packages+packages))
		}, "hash sum mismatch", false},
		{"Packages shorter", func(a *testArchive) {
			a.write("dists/s/"+name, []byte(packages[:20]))
		}, "hash sum mismatch", false},
		{"Packages missing", func(a *testArchive) {
			if err := os.Remove(a.dir + "/dists/s/" + name); err != nil {
				t.Fatal(err)
			}
		}, "no such file", false},
		{"path out of the mirror", func(a *testArchive) {
			a.publish("s", strings.Replace(packages, "pool/", "../../", 1))
		}, "not a clean path", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := newTestArchive(t)
			a.t = t
			a.publish("s", packages)
			if _, err := a.open("s"); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			c.change(a)
			_, err := a.open("s")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error is %v, want one with %q", err, c.want)
			}
			if errors.Is(err, ErrUntrusted) != c.untrusted {
				t.Errorf("untrusted is %v, want %v: %v", !c.untrusted, c.untrusted, err)
			}
		})
	}
}

func TestOpenSeveralSignatures(t *testing.T) {
	a := newTestArchive(t)
	a.publish("s", stanzaOf("hello", "1.0", ""))
	release := a.release("s", map[string][]byte{"main/binary-amd64/Packages": []byte(stanzaOf("hello", "1.0", ""))})
	stranger := testKey(t, testNow.AddDate(-1, 0, 0), 0)
	for _, keys := range [][]*openpgp.Entity{{stranger, a.key}, {a.key, stranger}} {
		a.write("dists/s/InRelease", clearSign(t, release, keys...))
		if _, err := a.open("s"); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenRollback holds FAULTS 26.
func TestOpenRollback(t *testing.T) {
	a := newTestArchive(t)
	state := t.TempDir()
	open := func(optional bool) error {
		s := a.source("s")
		s.Optional = optional
		_, err := Open(t.Context(), Options{
			Sources: []Source{a.source("main"), s}, Arch: "amd64", Cache: Cache{t.TempDir()}, Now: testNow, State: state,
		})
		return err
	}
	a.publish("main", stanzaOf("hello", "1.0", ""))
	if err := open(true); err != nil {
		t.Fatalf("optional suite absent: %v", err)
	}
	a.publish("s", stanzaOf("hello", "1.0", ""))
	for range 2 {
		if err := open(true); err != nil {
			t.Fatal(err)
		}
	}
	a.date = a.date.Add(-time.Second)
	a.publish("s", stanzaOf("hello", "0.9", ""))
	if err := open(true); err == nil || !strings.Contains(err.Error(), "older than") {
		t.Errorf("older release: %v", err)
	}
	if err := os.Remove(a.dir + "/dists/s/InRelease"); err != nil {
		t.Fatal(err)
	}
	if err := open(true); err == nil || !strings.Contains(err.Error(), "no longer has it") {
		t.Errorf("suite that vanished: %v", err)
	}
}

func TestOpenRefusesAbsentSuite(t *testing.T) {
	a := newTestArchive(t)
	a.publish("s", stanzaOf("hello", "1.0", ""))
	if _, err := a.open("s", "t"); err == nil {
		t.Error("a required suite that is absent is no error")
	}
	if _, err := Open(t.Context(), Options{Sources: []Source{{Mirror: a.dir, Suite: "s"}}, Cache: Cache{t.TempDir()}}); err == nil {
		t.Error("an archive without a key is no error")
	}
}

// TestOpenAssumed holds that a source whose key is only assumed gives way when
// it is somebody else's, but not when it is the only one of its suite.
func TestOpenAssumed(t *testing.T) {
	ours, theirs := newTestArchive(t), newTestArchive(t)
	ours.publish("s", stanzaOf("hello", "1.0", ""))
	theirs.publish("s", stanzaOf("hello", "9.0", ""))
	foreign := Source{Mirror: theirs.dir, Suite: "s", Keyring: []string{publicKey(t, ours.key)}, Assumed: true}
	options := Options{Sources: []Source{foreign, ours.source("s")}, Arch: "amd64", Cache: Cache{t.TempDir()}, Now: testNow}
	a, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := a.Resolve(t.Context(), Request{Packages: []string{"hello"}})
	if err != nil || pkgs[0].Version != "1.0" {
		t.Errorf("chose %+v, %v", pkgs, err)
	}
	options.Sources = options.Sources[:1]
	if _, err := Open(t.Context(), options); !errors.Is(err, ErrUntrusted) {
		t.Errorf("only source is somebody else's: %v", err)
	}
}

// TestOpenChanging lets the archive publish anew between InRelease and
// Packages: the first time it is read again, and one that never settles is an
// error that says so (FAULTS 26).
func TestOpenChanging(t *testing.T) {
	a := newTestArchive(t)
	a.publish("s", stanzaOf("hello", "1.0", ""))
	var settle atomic.Bool
	var reads atomic.Int64
	files := http.FileServer(http.Dir(a.dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		files.ServeHTTP(w, r)
		if strings.HasSuffix(r.URL.Path, "InRelease") {
			if n := reads.Add(1); n == 1 || !settle.Load() {
				a.publish("s", stanzaOf("hello", fmt.Sprintf("1.%d", n), ""))
			}
		}
	}))
	defer server.Close()
	s := a.source("s")
	s.Mirror = server.URL
	options := Options{Sources: []Source{s}, Arch: "amd64", Cache: Cache{t.TempDir()}, Now: testNow}
	if _, err := Open(t.Context(), options); err == nil || !strings.Contains(err.Error(), "the archive changed") {
		t.Errorf("archive that never settles: %v", err)
	}
	settle.Store(true)
	reads.Store(0)
	if _, err := Open(t.Context(), options); err != nil {
		t.Errorf("archive that changed once: %v", err)
	}
	if reads.Load() != 2 {
		t.Errorf("InRelease read %d times, want 2", reads.Load())
	}
}

func TestOpenByHashAndCache(t *testing.T) {
	a := newTestArchive(t)
	a.header = "Acquire-By-Hash: yes\n"
	plain := []byte(stanzaOf("hello", "1.0", ""))
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write(plain)
	w.Close()
	name := "main/binary-amd64/Packages"
	a.write("dists/s/main/binary-amd64/by-hash/SHA256/"+sum(packed.Bytes()), packed.Bytes())
	a.write("dists/s/InRelease", clearSign(t, a.release("s", map[string][]byte{name: plain, name + ".gz": packed.Bytes()}), a.key))
	options := Options{Sources: []Source{a.source("s")}, Arch: "amd64", Cache: Cache{t.TempDir()}, Now: testNow}
	opened, err := Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	want := Index{Path: name + ".gz", Size: int64(packed.Len()), SHA256: sum(packed.Bytes())}
	if got := opened.Releases()[0].Indexes; len(got) != 1 || got[0] != want {
		t.Errorf("indexes are %+v, want %+v", got, want)
	}
	if err := os.RemoveAll(a.dir + "/dists/s/main"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), options); err != nil {
		t.Errorf("index not taken from the cache: %v", err)
	}
}

func TestOpenRetries(t *testing.T) {
	a := newTestArchive(t)
	a.publish("s", stanzaOf("hello", "1.0", ""))
	var requests atomic.Int64
	files := http.FileServer(http.Dir(a.dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		case 2: // a body that ends early
			w.Header().Set("Content-Length", "1000")
			w.Write([]byte("-----BEGIN"))
		default:
			files.ServeHTTP(w, r)
		}
	}))
	defer server.Close()
	s := a.source("s")
	s.Mirror = server.URL
	if _, err := Open(t.Context(), Options{Sources: []Source{s}, Arch: "amd64", Cache: Cache{t.TempDir()}, Now: testNow}); err != nil {
		t.Error(err)
	}
}

package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

func hello(suffix string) madeDeb {
	return madeDeb{
		name: "hello", suffix: suffix,
		files:  []tar.Header{{Name: "./", Typeflag: tar.TypeDir}, {Name: "./hello"}},
		bodies: map[string]string{"./hello": strings.Repeat("hello\n", 1000)},
	}
}

func TestCompressions(t *testing.T) {
	for _, suffix := range []string{"", ".gz", ".xz", ".zst"} {
		target := newTarget(t)
		if err := unpackOnly(t, target, Cache{t.TempDir()}, hello(suffix).deb(t)); err != nil {
			t.Fatalf("%q: %v", suffix, err)
		}
		data, err := os.ReadFile(target.Upper + "/hello")
		if err != nil || len(data) != 6000 {
			t.Errorf("%q: %d bytes, %v", suffix, len(data), err)
		}
	}
}

// TestTruncated cuts a .deb at many places: each cut is an error that names
// the package, and nothing of it stays in the cache (FAULTS 25).
func TestTruncated(t *testing.T) {
	for _, suffix := range []string{"", ".gz", ".xz", ".zst"} {
		whole := hello(suffix).bytes(t)
		cache := Cache{t.TempDir()}
		for cut := 1; cut < len(whole); cut += 1 + len(whole)/97 {
			if suffix == "" && cut > len(whole)-1024 {
				break // the empty blocks at the end of a tar
			}
			_, err := openUnpacked(context.Background(), cache, debFile(t, "hello", "1", whole[:cut]))
			if err == nil || !strings.Contains(err.Error(), "package hello 1") {
				t.Fatalf("%q cut at %d of %d: %v", suffix, cut, len(whole), err)
			}
		}
		left, err := os.ReadDir(cache.Dir + "/unpacked")
		if err != nil || len(left) > 0 {
			t.Errorf("%q: %d entries left in the cache, %v", suffix, len(left), err)
		}
	}
}

// TestTruncatedInside holds FAULTS 25.
func TestTruncatedInside(t *testing.T) {
	for _, suffix := range []string{".gz", ".xz", ".zst"} {
		m := hello(suffix)
		packed := compress(t, suffix, tarball(t, m.files, m.bodies))
		data := bytes.Replace(m.bytes(t), arMember("data.tar"+suffix, packed), arMember("data.tar"+suffix, packed[:len(packed)-20]), 1)
		err := unpackOnly(t, newTarget(t), Cache{t.TempDir()}, debFile(t, "hello", "1", data))
		if err == nil || !strings.Contains(err.Error(), "package hello 1") {
			t.Errorf("%q: %v", suffix, err)
		}
	}
}

// TestBadDebs holds FAULTS 25.
func TestBadDebs(t *testing.T) {
	good := hello("").bytes(t)
	swapped := hello("")
	swapped.bodies = map[string]string{"./hello": "other"}
	other := hello("")
	other.name = "other"
	cases := []struct {
		name string
		data []byte
		want string
	}{
		{"no archive", []byte("<html>not found</html>"), "no ar archive"},
		{"unknown compression", bytes.Replace(good, []byte("data.tar  "), []byte("data.tar.9"), 1), "compression of data.tar.9 is not known"},
		{"version 3", bytes.Replace(good, []byte("2.0\n"), []byte("3.0\n"), 1), "format \"3.0\""},
		{"second data", append(append([]byte(nil), good...), arMember("data.tar.xz", nil)...), "unexpected member \"data.tar.xz\""},
		{"other package", other.bytes(t), "its control file says Package \"other\""},
	}
	for _, c := range cases {
		err := unpackOnly(t, newTarget(t), Cache{t.TempDir()}, debFile(t, "hello", "1", c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "package hello 1") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	deb := hello("").deb(t)
	if err := os.WriteFile(deb.File, swapped.bytes(t), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unpackOnly(t, newTarget(t), Cache{t.TempDir()}, deb); err == nil || !strings.Contains(err.Error(), "not the one of the index") {
		t.Errorf("swapped data member: %v", err)
	}
}

// TestPoisonedEntry changes a kept entry in each of its parts: it is made
// anew from the .deb, and without one it is not used (FAULTS 25).
func TestPoisonedEntry(t *testing.T) {
	deb, cache := hello(".gz").deb(t), Cache{t.TempDir()}
	unpack := func() string {
		target := newTarget(t)
		if err := unpackOnly(t, target, cache, deb); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(target.Upper + "/hello")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	want := unpack()
	entry := cache.unpackedPath(deb.SHA256)
	good, err := os.ReadFile(entry)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 20, unpackedHeader + 1600, len(good) - 2000} {
		bad := bytes.Clone(good)
		bad[at] ^= 0x20
		if err := os.WriteFile(entry, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if got := unpack(); got != want {
			t.Fatalf("byte %d: content differs", at)
		}
		if now, err := os.ReadFile(entry); err != nil || !bytes.Equal(now, good) {
			t.Errorf("byte %d: the entry was not made anew (%v)", at, err)
		}
	}
	if err := os.WriteFile(entry, good[:len(good)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(deb.File); err != nil {
		t.Fatal(err)
	}
	if err := unpackOnly(t, newTarget(t), cache, deb); err == nil {
		t.Error("a damaged entry was used")
	}
}

func FuzzDeb(f *testing.F) {
	for _, suffix := range []string{"", ".gz", ".xz", ".zst"} {
		f.Add(hello(suffix).bytes(f))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		deb := debFile(t, "hello", "1", data)
		_ = unpackOnly(t, newTarget(t), Cache{t.TempDir()}, deb) // must not panic
	})
}

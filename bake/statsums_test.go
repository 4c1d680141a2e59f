package bake

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kiln/bake/template"
)

// summed hashes the files below dir/app as a copy does.
func summed(t *testing.T, c *Cache, dir string) map[string]string {
	t.Helper()
	files, err := template.Files(&template.Copy{Root: dir, Rel: "app", Source: "app", Target: "/app"})
	if err != nil {
		t.Fatal(err)
	}
	sums, err := c.statSums(filepath.Join(dir, "app")).hashAll(files)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i, f := range files {
		if sums[i] != "" {
			got[f.Rel] = sums[i]
		}
	}
	return got
}

// Whatever happens to a file, its hash is that of what it holds: also where size
// and modification time stay, and where it changes right after it was hashed
// (FAULTS 29).
func TestStatSumsNeverLie(t *testing.T) {
	c := openCache(t, t.TempDir())
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, "app", name) }
	want := map[string]string{}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(text))
		want[name] = hex.EncodeToString(sum[:])
	}
	check := func(what string) {
		t.Helper()
		if got := summed(t, c, dir); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	if err := os.Mkdir(path(""), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		write(fmt.Sprint("f", i), fmt.Sprint("content ", i))
	}
	check("at first")
	for range 20 {
		write("f7", time.Now().Format("05.000000000"))
		check("changed at once, of the same size")
	}
	time.Sleep(settledAge + 200*time.Millisecond)
	check("settled")
	if known := c.statSums(filepath.Join(dir, "app")).known; len(known) != 200 {
		t.Errorf("%d hashes are remembered, want 200", len(known))
	}
	check("remembered")

	info, err := os.Stat(path("f1"))
	if err != nil {
		t.Fatal(err)
	}
	write("f1", "CONTENT 1")
	if err := os.Chtimes(path("f1"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	check("changed, with the old time put back")
	write("new", "content 2")
	if err := os.Rename(path("new"), path("f2")); err != nil {
		t.Fatal(err)
	}
	want["f2"] = want["new"]
	delete(want, "new")
	check("replaced")
	if err := os.Remove(path("f3")); err != nil {
		t.Fatal(err)
	}
	delete(want, "f3")
	check("removed")
}

// What is remembered is used: a lie there shows, so the file was not read.
func TestStatSumsAreUsed(t *testing.T) {
	c := openCache(t, t.TempDir())
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "app", "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(settledAge + 200*time.Millisecond)
	summed(t, c, dir)
	s := c.statSums(filepath.Join(dir, "app"))
	lie := s.known["f"]
	lie.sum = [32]byte{1}
	s.found, s.dirty = map[string]statSum{"f": lie}, true
	if err := s.keep(); err != nil {
		t.Fatal(err)
	}
	if got := summed(t, c, dir); got["f"] != hex.EncodeToString(lie.sum[:]) {
		t.Errorf("the file was read again: %v", got)
	}
}

func FuzzDecodeSums(f *testing.F) {
	f.Add(encodeSums(map[string]statSum{"a/b": {dev: 1, inode: 2, size: 3, mtime: 4, change: -5, sum: [32]byte{6}}, "": {}}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'x'})
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := decodeSums(data)
		if err != nil {
			return
		}
		again, err := decodeSums(encodeSums(list))
		if err != nil || !maps.Equal(list, again) {
			t.Errorf("%v, then %v, %v", list, again, err)
		}
	})
}

package bake

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func openCache(t *testing.T, dir string) *Cache {
	t.Helper()
	c, err := OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// lay makes an entry of size bytes that was last used so long ago.
func lay(t *testing.T, c *Cache, name string, size int, ago time.Duration) {
	t.Helper()
	path := c.path(name)
	if strings.HasPrefix(name, "trees/") {
		if err := makeDirs(path); err != nil {
			t.Fatal(err)
		}
		if err := noteUsed(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		path += usedSuffix
	} else if err := os.WriteFile(path, make([]byte, size), 0o644); err != nil {
		t.Fatal(err)
	}
	used := time.Now().Add(-ago)
	if err := os.Chtimes(path, used, used); err != nil {
		t.Fatal(err)
	}
}

// left lists the entries that are there, without trees' sizes.
func left(t *testing.T, c *Cache) []string {
	t.Helper()
	items, err := c.items()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, it := range items {
		rel, err := filepath.Rel(c.dir, it.path)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rel)
	}
	slices.Sort(list)
	return list
}

// A changed entry and one in another's place are as good as absent.
func TestCacheFindsOutDamage(t *testing.T) {
	c := openCache(t, t.TempDir())
	var got []string
	for _, name := range []string{"one.json", "two.json"} {
		if err := c.save([]string{name, "sha256:0123"}, "layers", name); err != nil {
			t.Fatal(err)
		}
		if !c.load(&got, "layers", name) || got[0] != name {
			t.Fatalf("%s is not there: %v", name, got)
		}
	}
	one, two := c.path("layers", "one.json"), c.path("layers", "two.json")
	data, err := os.ReadFile(one)
	if err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string][]byte{
		"changed":    []byte(strings.Replace(string(data), "0123", "0124", 1)),
		"cut":        data[:len(data)-1],
		"without":    data[:strings.IndexByte(string(data), '\n')],
		"empty":      nil,
		"lengthened": append(slices.Clone(data), '\n'),
	} {
		if err := os.WriteFile(one, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if c.load(&got, "layers", "one.json") {
			t.Errorf("an entry %s was believed", what)
		}
	}
	if err := os.Rename(two, one); err != nil {
		t.Fatal(err)
	}
	if c.load(&got, "layers", "one.json") {
		t.Error("another entry's content was believed")
	}
}

func TestPruneTakesWhatWasNotUsedForLongest(t *testing.T) {
	c := openCache(t, t.TempDir())
	day := 24 * time.Hour
	lay(t, c, "blobs/old", 100<<10, 9*day)
	lay(t, c, "trees/root/older", 200<<10, 10*day)
	lay(t, c, "blobs/mid", 100<<10, 5*day)
	lay(t, c, "layers/mid.json", 100, 6*day)
	lay(t, c, "blobs/new", 100<<10, 2*day)
	lay(t, c, "blobs/now", 100<<10, 0)
	c.Limit(250 << 10)
	c.wrote(1 << 20)
	if err := c.Prune(); err != nil {
		t.Fatal(err)
	}
	if got, want := left(t, c), []string{"blobs/new", "blobs/now"}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	if u, err := c.Usage(); err != nil || u.Bytes != 200<<10 || u.Entries != 2 || u.Limit != 250<<10 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if list, _ := filepath.Glob(c.path("trees", "root", "*")); len(list) > 0 {
		t.Errorf("of a pruned tree are left %v", list)
	}
	if list, _ := filepath.Glob(c.path("tmp", "pruned-*")); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}

// What this bake or another running one counts on stays, however full the
// cache is. A bake that was killed counts on nothing.
func TestPruneLeavesWhatIsInUse(t *testing.T) {
	dir := t.TempDir()
	other := openCache(t, dir)
	c := openCache(t, dir)
	day := 24 * time.Hour
	for _, name := range []string{"blobs/mine", "blobs/theirs", "trees/root/theirs", "blobs/nobodys"} {
		lay(t, c, name, 100<<10, 9*day)
	}
	if !c.claim("blobs", "mine") || !other.claim("blobs", "theirs") || !other.claim("trees", "root", "theirs") {
		t.Fatal("an entry that is there cannot be claimed")
	}
	if c.claim("blobs", "none") {
		t.Error("an entry that is not there was claimed")
	}
	prune := func(c *Cache) {
		t.Helper()
		c.Limit(1)
		c.wrote(1)
		if err := c.Prune(); err != nil {
			t.Fatal(err)
		}
	}
	prune(c)
	want := []string{"blobs/mine", "blobs/theirs", "trees/root/theirs"}
	if got := left(t, c); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	// The other bake has been running for days; its lease tells when it began.
	began := time.Now().Add(-3 * day)
	leases, err := filepath.Glob(c.path("running", leasePrefix+"-*"))
	if err != nil || len(leases) != 2 {
		t.Fatalf("leases %v, %v", leases, err)
	}
	for _, l := range leases {
		if err := os.Chtimes(l, began, began); err != nil {
			t.Fatal(err)
		}
	}
	lay(t, c, "blobs/theirs", 100<<10, 2*day)
	lay(t, c, "blobs/nobodys", 100<<10, 4*day)
	prune(c)
	if got := left(t, c); !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	// Both end, one of them by a kill: its folder stays, its lock does not.
	other.Close()
	if err := os.Mkdir(c.path("running", leasePrefix+"-killed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(c.path("running", leasePrefix+"-killed"), began, began); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c = openCache(t, dir)
	lay(t, c, "blobs/mine", 100<<10, 2*day)
	prune(c)
	if got, want := left(t, c), []string{"trees/root/theirs"}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v: used just now", got, want)
	}
}

// Bakes that claim and one that prunes never get into each other's way: what
// was claimed is there.
func TestPruneRacesClaims(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir)
	const entries = 40
	day := 24 * time.Hour
	for i := range entries {
		lay(t, c, fmt.Sprintf("blobs/%d", i), 4<<10, 9*day)
	}
	var all sync.WaitGroup
	for range 3 {
		user := openCache(t, dir)
		all.Go(func() {
			for i := range entries {
				name := fmt.Sprint(i)
				if !user.claim("blobs", name) {
					continue
				}
				time.Sleep(100 * time.Microsecond)
				if _, err := os.Stat(user.path("blobs", name)); err != nil {
					t.Errorf("what was claimed is gone: %v", err)
				}
			}
		})
	}
	pruner := openCache(t, dir)
	all.Go(func() {
		for n := entries; n > 0; n -= 8 {
			pruner.Limit(int64(n) << 10)
			pruner.wrote(1 << 20)
			if err := pruner.Prune(); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
}

// A cache is not looked through again and again, and not for a bake that wrote
// nothing.
func TestPruneIsSeldom(t *testing.T) {
	c := openCache(t, t.TempDir())
	lay(t, c, "blobs/old", 100<<10, 9*24*time.Hour)
	c.Limit(50 << 10)
	for i, step := range []struct {
		wrote int64
		gone  bool
	}{{0, false}, {1, true}, {1, false}, {50 << 10, true}} {
		lay(t, c, "blobs/old", 100<<10, 9*24*time.Hour)
		c.wrote(step.wrote)
		if err := c.Prune(); err != nil {
			t.Fatal(err)
		}
		if gone := len(left(t, c)) == 0; gone != step.gone {
			t.Errorf("round %d: gone %t, want %t", i, gone, step.gone)
		}
	}
}

// Finding everything writes nothing.
func TestWarmBakeWritesNothing(t *testing.T) {
	k := newBaking(t, family, 2)
	if _, err := k.bake(t.Context(), &stage{}); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, k.cache.dir)
	if _, err := k.bake(t.Context(), &stage{}); err != nil {
		t.Fatal(err)
	}
	if after := snapshot(t, k.cache.dir); after != before {
		t.Errorf("the cache is\n%s\nit was\n%s", after, before)
	}
}

// snapshot lists files with their times.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		fmt.Fprintln(&text, path, info.Size(), info.ModTime().UnixNano())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

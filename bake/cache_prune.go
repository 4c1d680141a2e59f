package bake

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of a cache whose size nobody said.
const (
	autoShare = 10       // a tenth of the file system,
	autoMost  = 20 << 30 // no more than this
	autoLeast = 2 << 30  // and no less than this
)

// pruneEvery is how often a cache is looked through when little is written.
const pruneEvery = 10 * time.Minute

// pruneShare of the limit, once written, has the cache looked through, and is
// how far below it a pruning goes.
const pruneShare = 20

// entryKinds are the kinds of entry that may go, by folder and by how many
// folders below that they lie. What lock last saw of an archive is none: it
// guards against old indexes.
var entryKinds = []struct {
	dir  string
	deep int
}{
	{"layers", 0}, {"blobs", 0}, {"index", 0}, {"places", 0}, {"tests", 0}, {"scans", 0}, {"why", 0}, {"stats", 0},
	{"fetched", 0}, {"git", 0}, {"mounts", 1}, {"trees", 1}, {"debs/sha256", 1}, {"unpacked/unpacked", 0}, {"archive/indexes/sha256", 1},
}

// cacheItem is an entry as prune sees it.
type cacheItem struct {
	path string
	size int64
	used time.Time
}

// CacheUsage says how large a cache is.
type CacheUsage struct {
	Bytes   int64
	Limit   int64 // 0 is none
	Entries int
}

// Limit sets the size in bytes that pruning keeps the cache below; 0 lets it
// grow, and below 0 is what fits the file system.
func (c *Cache) Limit(bytes int64) {
	if bytes < 0 {
		bytes = autoLimit(c.dir)
	}
	c.limit = bytes
}

func autoLimit(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return autoMost
	}
	return max(autoLeast, min(autoMost, int64(fs.Blocks)*fs.Bsize/autoShare))
}

// wrote counts what was added.
func (c *Cache) wrote(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added += n
}

// Usage adds up what lies in the cache.
func (c *Cache) Usage() (CacheUsage, error) {
	items, err := c.items()
	u := CacheUsage{Limit: c.limit, Entries: len(items)}
	for _, it := range items {
		u.Bytes += it.size
	}
	return u, err
}

// Prune removes what was not used for longest until the cache is below its
// limit. What running bakes use stays, this one's too, so the cache may be
// larger while they run. It does nothing while little was written and the
// cache was looked through a short time ago.
func (c *Cache) Prune() error {
	c.mu.Lock()
	added := c.added
	c.added = 0
	c.mu.Unlock()
	if c.limit <= 0 || added == 0 || (added < c.limit/pruneShare && c.lookedThrough()) {
		return nil
	}
	items, err := c.items()
	if err != nil {
		return err
	}
	var size int64
	for _, it := range items {
		size += it.size
	}
	if size <= c.limit {
		return nil
	}
	slices.SortFunc(items, func(a, b cacheItem) int { return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path)) })
	return c.remove(items, size-c.limit+c.limit/pruneShare)
}

// lookedThrough tells whether somebody did so a short time ago, and notes that
// we do so now if not.
func (c *Cache) lookedThrough() bool {
	stamp := c.path("pruned")
	info, err := os.Stat(stamp)
	if err == nil && time.Since(info.ModTime()) < pruneEvery {
		return true
	}
	_ = os.WriteFile(stamp, nil, 0o644)
	return false
}

// remove takes the first of items away until there are so many bytes less.
// Nobody claims an entry meanwhile: those that were claimed since they were
// listed are left alone.
func (c *Cache) remove(items []cacheItem, bytes int64) error {
	bin, done, err := c.tempDir("pruned")
	if err != nil {
		return err
	}
	defer done() // deleting takes longer than moving, and needs no lock
	lock, err := c.lockAlone()
	if err != nil {
		return err
	}
	defer lock.Close()
	oldest := c.oldestUse()
	for i, it := range items {
		if bytes <= 0 || !it.used.Before(oldest) {
			break
		}
		now, err := lastUse(it.path)
		if err != nil || !now.Before(oldest) {
			continue
		}
		if err := os.Rename(it.path, filepath.Join(bin, strconv.Itoa(i))); err != nil {
			continue // another user's, or gone
		}
		_ = os.Remove(it.path + usedSuffix)
		bytes -= it.size
	}
	return nil
}

// items lists the entries that may go.
func (c *Cache) items() ([]cacheItem, error) {
	var list []cacheItem
	for _, kind := range entryKinds {
		dirs := []string{c.path(kind.dir)}
		for range kind.deep {
			var below []string
			for _, dir := range dirs {
				entries, err := os.ReadDir(dir)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return list, fmt.Errorf("look through cache: %w", err)
				}
				for _, e := range entries {
					if e.IsDir() {
						below = append(below, filepath.Join(dir, e.Name()))
					}
				}
			}
			dirs = below
		}
		for _, dir := range dirs {
			found, err := itemsIn(dir)
			if err != nil {
				return list, fmt.Errorf("look through cache: %w", err)
			}
			list = append(list, found...)
		}
	}
	return list, nil
}

func itemsIn(dir string) ([]cacheItem, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []cacheItem
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), usedSuffix) || strings.HasPrefix(e.Name(), ".tmp-") {
			continue
		}
		info, err := e.Info()
		if err != nil {
			continue // gone
		}
		it := cacheItem{path: filepath.Join(dir, e.Name()), size: diskSize(info), used: info.ModTime()}
		if e.IsDir() {
			it.size, it.used = folderItem(it.path, info)
		}
		list = append(list, it)
	}
	return list, nil
}

// folderItem is size and last use of a folder entry. A size that nobody noted
// is added up and noted.
func folderItem(path string, info fs.FileInfo) (int64, time.Time) {
	used, err := lastUse(path)
	if err != nil {
		used = info.ModTime()
	}
	if size := usedSize(path); size > 0 {
		return size, used
	}
	var size int64
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // gone, or not ours: it counts nothing
		}
		if info, err := e.Info(); err == nil {
			size += diskSize(info)
		}
		return nil
	})
	if noteUsed(path, size) == nil {
		_ = os.Chtimes(path+usedSuffix, used, used)
	}
	return size, used
}

// lastUse is when an entry was used, as far as is noted.
func lastUse(path string) (time.Time, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return time.Time{}, err
	}
	if info.IsDir() {
		if used, err := os.Lstat(path + usedSuffix); err == nil {
			return used.ModTime(), nil
		}
	}
	return info.ModTime(), nil
}

// diskSize is what a file takes, in whole blocks of the usual size.
func diskSize(info fs.FileInfo) int64 {
	const block = 4 << 10
	return (info.Size() + block - 1) / block * block
}

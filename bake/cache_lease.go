package bake

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// leasePrefix begins the locked folder in running/ that every bake has while it
// runs. Its modification time is when the bake began.
const leasePrefix = "bake"

// usedSuffix ends the file beside a folder entry that tells its size, and by
// its modification time its last use: that of the folder itself is content.
const usedSuffix = ".used"

// begin notes that a bake uses the cache from now on: what it uses is not
// pruned until it closes the cache or its process ends.
func (c *Cache) begin() error {
	_, end, err := lockedTemp(c.path("running"), leasePrefix)
	if err != nil {
		return err
	}
	c.end = end
	return nil
}

// Close ends the use of the cache. What lies in it stays.
func (c *Cache) Close() error {
	c.mu.Lock()
	end := c.end
	c.end = nil
	c.mu.Unlock()
	if end != nil {
		end()
	}
	return nil
}

// claim tells whether an entry is there, and if so notes its use, so that it
// stays until this bake ends: see prune. Small entries, which are read at once,
// need no claim.
func (c *Cache) claim(parts ...string) bool {
	lock, err := c.lockShared()
	if err != nil {
		return false
	}
	defer lock.Close()
	path := c.path(parts...)
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	if !info.IsDir() {
		touch(path, info.ModTime())
		return true
	}
	used, err := os.Lstat(path + usedSuffix)
	if err != nil {
		_ = noteUsed(path, 0)
		return true
	}
	touch(path+usedSuffix, used.ModTime())
	return true
}

// claimAll claims those of the entries that are there.
func (c *Cache) claimAll(paths []string) {
	for _, path := range paths {
		if rel, err := filepath.Rel(c.dir, path); err == nil {
			c.claim(rel)
		}
	}
}

// noteUsed writes the file beside a folder entry; size 0 is unknown.
func noteUsed(path string, size int64) error {
	return os.WriteFile(path+usedSuffix, []byte(strconv.FormatInt(size, 10)), 0o644)
}

// usedSize is what noteUsed wrote.
func usedSize(path string) int64 {
	data, err := os.ReadFile(path + usedSuffix)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return max(n, 0)
}

// oldestUse is the time of last use from which on entries may be in use by a
// running bake, this one included.
func (c *Cache) oldestUse() time.Time {
	oldest := time.Now()
	list, err := filepath.Glob(c.path("running", leasePrefix+"-*"))
	if err != nil {
		return time.Time{} // cannot be: the pattern is ours
	}
	for _, dir := range list {
		info, err := os.Stat(dir)
		if err != nil {
			continue // it ended
		}
		if lock, err := lockDir(dir); err == nil {
			lock.Close() // its process was killed
			continue
		} else if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if info.ModTime().Before(oldest) {
			oldest = info.ModTime()
		}
	}
	return oldest.Add(-useGrain)
}

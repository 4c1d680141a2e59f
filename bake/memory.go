package bake

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sharedMemory is where Linux systems mount a tmpfs for every user.
const sharedMemory = "/dev/shm"

// scratch makes a folder for a tree of about need bytes that is thrown away
// once it is a layer: in memory if that is large enough, since a package tree
// is tens of thousands of small files, else in the cache.
func (c *Cache) scratch(prefix string, need int64) (string, func(), error) {
	if dir, ok := memoryFor(need); ok {
		if path, done, err := lockedTemp(dir, prefix); err == nil {
			return path, done, nil
		}
	}
	return c.tempDir(prefix)
}

// memoryFor is kiln's folder in shared memory, if need bytes fit twice.
func memoryFor(need int64) (string, bool) {
	var fs unix.Statfs_t
	if err := unix.Statfs(sharedMemory, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return "", false
	}
	if int64(fs.Bavail)*fs.Bsize < 2*need || availableMemory() < 2*need {
		return "", false
	}
	dir := memoryDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", false
	}
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return "", false
	}
	st := unix.Stat_t{}
	if err := unix.Lstat(dir, &st); err != nil || int(st.Uid) != os.Geteuid() {
		return "", false // somebody else made it
	}
	return dir, true
}

func memoryDir() string { return fmt.Sprintf("%s/kiln-%s-%d", sharedMemory, treeForm(), os.Geteuid()) }

// availableMemory is MemAvailable of proc_meminfo(5), in bytes; 0 if unknown.
func availableMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

package bake

import (
	"bufio"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// sharedMemory is where Linux systems mount a tmpfs for every user.
const sharedMemory = "/dev/shm"

// scratch makes a folder for a tree of about need bytes that is thrown away
// once it is a layer: in memory if that is large enough beside what other
// trees there may grow to, since a package tree is tens of thousands of small
// files, else in the cache.
func (c *Cache) scratch(prefix string, need int64) (string, func(), error) {
	if dir, ok := memoryFolder(); ok {
		if path, done, err := inMemory(dir, prefix, need); err == nil {
			return path, done, nil
		}
	}
	return c.tempDir(prefix)
}

var errNoMemory = errors.New("not enough memory is free")

// inMemory makes a folder below dir whose name says how much it may grow to,
// for other bakes to see, if need bytes fit twice.
func inMemory(dir, prefix string, need int64) (string, func(), error) {
	lock, err := lockDirWait(dir)
	if err != nil {
		return "", nil, err
	}
	defer lock.Close()
	if freeMemory()-promised(dir) < 2*need {
		return "", nil, errNoMemory
	}
	return lockedTemp(dir, prefix+"-"+strconv.FormatInt(need, 10))
}

// promised is what the trees in dir may grow to together, in bytes. What they
// hold already counts twice, which errs to the safe side.
func promised(dir string) int64 {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	var sum int64
	for _, e := range entries {
		if parts := strings.Split(e.Name(), "-"); len(parts) == 3 {
			n, _ := strconv.ParseInt(parts[1], 10, 64)
			sum += max(n, 0)
		}
	}
	return sum
}

// freeMemory is what a tree in shared memory could fill, in bytes.
func freeMemory() int64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(sharedMemory, &fs); err != nil || fs.Type != unix.TMPFS_MAGIC {
		return 0
	}
	return min(int64(fs.Bavail)*fs.Bsize, availableMemory(), cgroupMemory("/proc/self/cgroup", "/sys/fs/cgroup"))
}

// memoryFolder is kiln's folder in shared memory, unless somebody else made it.
func memoryFolder() (string, bool) {
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
		return "", false
	}
	return dir, true
}

func memoryDir() string { return fmt.Sprintf("%s/kiln-%s-%d", sharedMemory, userForm(), os.Geteuid()) }

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

// cgroupMemory is how much the limits of this process's control groups leave,
// in bytes: cgroup v2's memory.max less memory.current, of every group above it,
// where cached files that nobody used lately count as free.
func cgroupMemory(self, root string) int64 {
	left := int64(math.MaxInt64)
	data, err := os.ReadFile(self)
	if err != nil {
		return left
	}
	group, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "0::")
	for ok && group != "/" && group != "." {
		limit, err := readNumber(filepath.Join(root, group, "memory.max"))
		used, err2 := readNumber(filepath.Join(root, group, "memory.current"))
		if err == nil && err2 == nil {
			left = min(left, limit-used+readStat(filepath.Join(root, group, "memory.stat"), "inactive_file"))
		}
		group = filepath.Dir(group)
	}
	return left
}

// readStat is one number of a file of names and numbers; 0 if it is not there.
func readStat(path, name string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

func readNumber(path string) (int64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// groupPrefix begins the names of our control groups; the process id of who
// made one follows, so that what a killed one left can be told.
const groupPrefix = "kiln-"

// newGroup makes a control group that holds at most n processes and threads,
// and puts process pid into it. It is below or beside the caller's own, in the
// hierarchy with the pids controller, whatever version that has.
func newGroup(pid, n int) (dir string, err error) {
	err = errors.New("no pids controller for us to use")
	for _, parent := range groupParents() {
		removeStale(parent)
		dir, err = os.MkdirTemp(parent, fmt.Sprintf("%s%d-", groupPrefix, os.Getpid()))
		if err != nil {
			continue
		}
		err = errors.Join(
			os.WriteFile(filepath.Join(dir, "pids.max"), []byte(strconv.Itoa(n)), 0),
			os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0))
		if err == nil {
			return dir, nil
		}
		unix.Rmdir(dir)
	}
	return "", err
}

// canGroup tells whether newGroup would find a place.
func canGroup() bool {
	return slices.ContainsFunc(groupParents(), func(parent string) bool { return unix.Access(parent, unix.W_OK) == nil })
}

// removeGroup removes the group once the last process in it is buried.
func removeGroup(dir string) {
	for range 100 {
		if err := unix.Rmdir(dir); dir == "" || err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// removeStale removes the groups of processes that are no more; one that is in
// use cannot be removed.
func removeStale(parent string) {
	old, _ := filepath.Glob(filepath.Join(parent, groupPrefix+"*-*"))
	for _, dir := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), groupPrefix), "-")
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			unix.Rmdir(dir)
		}
	}
}

// groupParents are the folders in which a group with a limit can be made, the
// best one first.
func groupParents() []string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	var parents []string
	for _, dir := range ownGroups(string(mounts), string(own)) {
		// With version 2 the controller must be handed down; a group that
		// holds processes hands nothing down, so ours goes beside it.
		for _, d := range []string{dir, filepath.Dir(dir)} {
			handed, err := os.ReadFile(filepath.Join(d, "cgroup.subtree_control"))
			if errors.Is(err, os.ErrNotExist) && d == dir && exists(filepath.Join(d, "cgroup.procs")) {
				parents = append(parents, d)
			} else if err == nil && slices.Contains(strings.Fields(string(handed)), "pids") {
				parents = append(parents, d)
			}
		}
	}
	return parents
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// ownGroups are the folders of the groups that a process is in, in hierarchies
// that may have the pids controller, from the texts of /proc/PID/mountinfo and
// /proc/PID/cgroup (proc_pid_mountinfo(5), cgroups(7)).
func ownGroups(mountinfo, groups string) []string {
	paths := map[string]string{}
	for line := range strings.SplitSeq(groups, "\n") {
		f := strings.SplitN(line, ":", 3)
		switch {
		case len(f) < 3:
		case f[0] == "0" && f[1] == "":
			paths["cgroup2"] = f[2]
		case slices.Contains(strings.Split(f[1], ","), "pids"):
			paths["cgroup"] = f[2]
		}
	}
	var dirs []string
	for line := range strings.SplitSeq(mountinfo, "\n") {
		mount, fs, ok := strings.Cut(line, " - ")
		m, kind := strings.Fields(mount), strings.Fields(fs)
		if !ok || len(m) < 5 || len(kind) < 3 {
			continue
		}
		own, found := paths[kind[0]]
		if !found || kind[0] == "cgroup" && !slices.Contains(strings.Split(kind[2], ","), "pids") {
			continue
		}
		below, inside := strings.CutPrefix(own, strings.TrimSuffix(m[3], "/"))
		if inside && !strings.Contains(below, "..") {
			dirs = append(dirs, filepath.Join(m[4], below))
		}
	}
	return dirs
}

// hideGroup makes the group that kiln put this process into the root of what
// the command sees of control groups.
func (p *firstProcess) hideGroup() error {
	if p.Limiter != byCgroup {
		return nil
	}
	return unix.Unshare(unix.CLONE_NEWCGROUP)
}

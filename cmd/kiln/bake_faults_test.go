//go:build full

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hostileTemplate has one image whose step does what the variable says. Every
// process of it has the token among its arguments.
const hostileTemplate = `
project = "acme"
variable "do" { type = list(string) }
variable "timeout" { default = "60s" }
image "victim" {
  tier = "base"
  copy {
    source = "bin"
    target = "/"
  }
  run {
    command = concat(["/helper"], var.do)
    timeout = var.timeout
  }
}
`

// hostileWorld is a world with that template and without Debian.
func hostileWorld(t *testing.T) (w *world, token string) {
	w = newWorld(t)
	token = fmt.Sprintf("token-%d-%d", os.Getpid(), time.Now().UnixNano())
	w.env = append(w.env, "TMPDIR="+w.mkdir("tmp"))
	helper := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(w.mkdir("hostile/bin"), "helper"), "./testdata/helper")
	helper.Env = append(os.Environ(), "CGO_ENABLED=0")
	w.must(helper)
	if err := os.WriteFile(w.path("hostile", "kiln.hcl"), []byte(hostileTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	return w, token
}

// attack is a bake whose step does that.
func (w *world) attack(env []string, do ...string) *exec.Cmd {
	quoted := make([]string, len(do))
	for i, d := range do {
		quoted[i] = fmt.Sprintf("%q", d)
	}
	return w.command(env, "bake", "hostile", "--var", "do=["+strings.Join(quoted, ",")+"]")
}

// TestHostileSteps: a step that hangs, forks without end, leaves processes
// behind, kills what it sees or writes where it must not, with and without
// overlays. The bake ends, says why, and leaves nothing behind (FAULTS 28).
func TestHostileSteps(t *testing.T) {
	w, token := hostileWorld(t)
	outside := w.path("outside")
	for name, c := range map[string]struct {
		do   []string
		want string // of the error; "" for a bake that succeeds
	}{
		"hangs":          {[]string{"sleep", token}, "timed out after 2s"},
		"forks":          {[]string{"bomb", token}, "ended: more than 4096 processes and threads at once"},
		"leaves behind":  {[]string{"leave", token}, ""},
		"kills":          {[]string{"killall", token}, ""},
		"fails":          {[]string{"exit", "3", token}, "exit status 3"},
		"is not there":   {[]string{"read", "/nothing", token}, "no such file"},
		"writes outside": {[]string{"outside", token, outside, "/.." + outside, "/proc/1/root" + outside, "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/sys/x"}, ""},
	} {
		for _, mode := range []string{"", "off"} {
			t.Run(strings.TrimSpace(name+" "+mode), func(t *testing.T) {
				cmd := w.attack([]string{"KILN_OVERLAY=" + mode, "KILN_CACHE=" + w.mkdir("cache"+mode), "KILN_STORE=" + w.path("store"+mode)}, c.do...)
				if name == "hangs" {
					cmd.Args = append(cmd.Args, "--var", "timeout=2s")
				}
				out, err := cmd.CombinedOutput()
				if failed := err != nil; failed != (c.want != "") || !bytes.Contains(out, []byte(c.want)) {
					t.Errorf("%v\n%s\nwant %q", err, out, c.want)
				}
				w.nothingLeftOf(t, token, "cache"+mode)
			})
		}
	}
	if _, err := os.Lstat(outside); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s was written: %v", outside, err)
	}
}

// TestKilledChildren: whatever process of a bake is killed, the rest ends with
// it. What kiln itself could not remove any more goes with the next bake
// (FAULTS 38).
func TestKilledChildren(t *testing.T) {
	w, token := hostileWorld(t)
	for name, c := range map[string]struct{ argument, want string }{
		"the command":            {"/helper", "ended by SIGKILL"},
		"the first of the inner": {"kiln-sandbox-init", "sandbox: lost while /helper ran: signal: killed"},
	} {
		for _, mode := range []string{"", "off"} {
			t.Run(strings.TrimSpace(name+" "+mode), func(t *testing.T) {
				var out bytes.Buffer
				cmd := w.attack([]string{"KILN_OVERLAY=" + mode}, "sleep", token)
				cmd.Stderr = &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				waitFor(t, "the step", func() bool { return len(w.below(cmd.Process.Pid, "/helper")) > 0 })
				for _, pid := range w.below(cmd.Process.Pid, c.argument) {
					unix.Kill(pid, unix.SIGKILL)
				}
				if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), c.want) {
					t.Errorf("%v\n%s", err, &out)
				}
				w.nothingLeftOf(t, token, "cache")
			})
		}
	}
	t.Run("kiln", func(t *testing.T) {
		cmd := w.attack(nil, "sleep", token)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the step", func() bool { return len(w.processes(token)) > 1 })
		cmd.Process.Kill()
		cmd.Wait()
		waitFor(t, "the end of what it started", func() bool { return len(w.processes(token)) == 0 })
		for _, e := range w.list("cache/tmp") { // as if it had been a while ago
			if err := os.Chtimes(w.path("cache/tmp", e), time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		w.must(w.attack(nil, "print", token))
		w.nothingLeftOf(t, token, "cache")
	})
}

// TestFullDisks: a step that fills the disk, a cache and a store on disks that
// are full: an error that says so, and what was there before stays whole. With
// room again the same bake succeeds (FAULTS 28, 39).
func TestFullDisks(t *testing.T) {
	w, token := hostileWorld(t)
	full := regexp.MustCompile(`no space left on device|MB must stay free`)
	attempt := func(t *testing.T, cache, store string, do ...string) error {
		t.Helper()
		cmd := w.attack([]string{"KILN_CACHE=" + w.path(cache), "KILN_STORE=" + w.path(store)}, append(do, token)...)
		out, err := cmd.CombinedOutput()
		if err != nil && !full.Match(out) {
			t.Errorf("%v does not say that the disk is full:\n%s", do, out)
		}
		w.nothingLeftOf(t, token, cache)
		return err
	}
	for _, mode := range []string{"", "off"} {
		t.Run(strings.TrimSpace("filled by the step "+mode), func(t *testing.T) {
			w.env = append(w.env, "KILN_OVERLAY="+mode)
			w.tmpfs(t, "small"+mode, "64m")
			if attempt(t, "small"+mode+"/cache", "store", "fill", "/big") == nil {
				t.Error("the bake succeeded")
			}
			if err := attempt(t, "small"+mode+"/cache", "store", "print"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	// So small that it is not the step which meets the end of the disk.
	for _, size := range []string{"0k", "64k", "1m", "3m", "6m", "10m"} {
		t.Run("cache of "+size, func(t *testing.T) {
			dir := "tiny" + size
			w.tmpfs(t, dir, "1m")
			w.mkdir(dir + "/cache")
			w.resize(t, dir, strings.Replace(size, "0k", "4k", 1))
			store := "store" + size // one with the layers would do without the cache
			if attempt(t, dir+"/cache", store, "print") == nil {
				t.Error("the bake succeeded")
			}
			w.resize(t, dir, "200m")
			if err := attempt(t, dir+"/cache", store, "print"); err != nil {
				t.Errorf("with room again: %v", err)
			}
		})
	}
	for _, size := range []string{"64k", "500k", "1m", "2m"} {
		t.Run("store of "+size, func(t *testing.T) {
			dir := "shelf" + size
			w.tmpfs(t, dir, size)
			if attempt(t, "cache", dir+"/store", "print", size) == nil {
				t.Error("the bake succeeded")
			}
			w.resize(t, dir, "200m")
			if err := attempt(t, "cache", dir+"/store", "print", size); err != nil {
				t.Errorf("with room again: %v", err)
			}
			w.must(w.command([]string{"KILN_STORE=" + w.path(dir, "store")}, "doctor", "--scrub"))
		})
	}
}

// tmpfs mounts a file system of that size on a folder of the world.
func (w *world) tmpfs(t *testing.T, name, size string) {
	t.Helper()
	if err := unix.Mount("tmpfs", w.mkdir(name), "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(w.path(name), unix.MNT_DETACH) })
}

func (w *world) resize(t *testing.T, name, size string) {
	t.Helper()
	if err := unix.Mount("tmpfs", w.path(name), "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
		t.Fatal(err)
	}
}

// nothingLeftOf holds that a bake left no process, no mount in any namespace and
// no temporary file.
func (w *world) nothingLeftOf(t *testing.T, token, cache string) {
	t.Helper()
	if left := w.processes(token); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if left := w.mounts(); len(left) > 0 {
		t.Errorf("mounts are left: %v", left)
	}
	for _, dir := range []string{"tmp", cache + "/tmp", "store/tmp", "storeoff/tmp"} {
		if left := w.list(dir); len(left) > 0 {
			t.Errorf("%s holds %v", dir, left)
		}
	}
	// Folders in memory are locked as long as somebody's bake needs them.
	for _, dir := range w.glob("/dev/shm/kiln-*/*") {
		info, err := os.Stat(dir)
		if err != nil || time.Since(info.ModTime()) > time.Minute {
			continue
		}
		if lock, err := os.Open(dir); err == nil {
			if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && time.Since(info.ModTime()) > time.Second {
				t.Errorf("%s is left", dir)
			}
			lock.Close()
		}
	}
}

func (w *world) glob(pattern string) []string {
	w.t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

func (w *world) list(dir string) []string {
	var names []string
	entries, _ := os.ReadDir(w.path(dir))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// processes are those with the token among their arguments, by id.
func (w *world) processes(token string) []string {
	var found []string
	for _, file := range w.glob("/proc/[0-9]*/cmdline") {
		if line, err := os.ReadFile(file); err == nil && bytes.Contains(line, []byte(token)) {
			found = append(found, file)
		}
	}
	return found
}

// below are the processes under a process whose first argument is that one.
func (w *world) below(pid int, argument string) []int {
	var found []int
	for _, file := range w.glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) {
		text, _ := os.ReadFile(file)
		for _, field := range strings.Fields(string(text)) {
			var child int
			fmt.Sscan(field, &child)
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", child))
			if first, _, _ := strings.Cut(string(line), "\x00"); first == argument {
				found = append(found, child)
			}
			found = append(found, w.below(child, argument)...)
		}
	}
	return found
}

// mounts are those in any namespace that lie in the world, but for those that
// tests made.
func (w *world) mounts() []string {
	seen := map[string]bool{}
	var found []string
	for _, ns := range w.glob("/proc/[0-9]*/ns/mnt") {
		id, err := os.Readlink(ns)
		if err != nil || seen[id] {
			continue
		}
		seen[id] = true
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(ns)), "mountinfo"))
		for line := range strings.SplitSeq(string(text), "\n") {
			made := slices.ContainsFunc([]string{"/small", "/tiny", "/shelf"}, func(name string) bool {
				return strings.Contains(line, " "+w.dir+name)
			})
			if strings.Contains(line, w.dir) && !made {
				found = append(found, line)
			}
		}
	}
	return found
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for range 1000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}

//go:build full

package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"kiln/bake/sandbox"
)

// heavy adds an image with packages that like to write clocks and identities.
const heavy = `
image "heavy" {
  tier     = "middleware"
  from     = image.base
  packages = ["openjdk-17-jre-headless", "openssh-server"]
  test "no host key ships" {
    command = ["sh", "-c", "ls /etc/ssh/ssh_host_* 2>/dev/null | wc -l"]
    stdout  = "^0\n$"
  }
  test "an empty machine id" {
    command = ["sh", "-c", "cat /etc/machine-id 2>/dev/null | tr -d '\n' | wc -c"]
    stdout  = "^0\n$"
  }
}
`

// TestSameDigests bakes one project with one lock in worlds that differ in all
// that must not matter, each time from empty caches.
func TestSameDigests(t *testing.T) {
	w := newWorld(t)
	appendTo(t, w.path("shop", "kiln.hcl"), heavy)
	w.commit("shop")
	want := w.digests(w.run("bake", "shop", "--json"))
	if len(want) != 4 {
		t.Fatalf("images: %v", want)
	}

	t.Run("elsewhere, later, without git", func(t *testing.T) {
		v := w.other(t, "a/much longer/path")
		os.RemoveAll(v.path("shop", ".git"))
		cmd := exec.Command("faketime", "-f", "+40d", "sh", "-c", `umask 077; exec "$@"`, "sh", v.kiln, "bake", "shop", "--json")
		cmd.Dir = v.dir
		cmd.Env = append(v.env, "TZ=Asia/Kathmandu", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=1")
		v.same(t, want, v.must(cmd))
	})
	t.Run("as nobody in a user namespace, another commit", func(t *testing.T) {
		v := w.other(t, "rootless")
		appendTo(t, v.path("shop", "NOTES"), "nothing that the bake reads\n")
		v.commit("shop")
		v.same(t, want, v.unprivileged("bake", v.path("shop"), "--json"))
	})
	t.Run("on copies, as nobody in a user namespace", func(t *testing.T) {
		v := w.other(t, "rootless-copies")
		v.debsOf(w)
		v.env = append(v.env, "KILN_OVERLAY=off")
		v.same(t, want, v.unprivileged("bake", v.path("shop"), "--json"))
	})
	t.Run("on copies, the cache on an overlay", func(t *testing.T) {
		v := w.other(t, "overlaid")
		v.overlay("cache")
		v.debsOf(w)
		v.same(t, want, v.run("bake", "shop", "--json"))
		if checks := v.run("doctor"); !bytes.Contains(checks, []byte("layers are copied")) {
			t.Errorf("doctor:\n%s", checks)
		}
	})
}

// debsOf spares a world the downloads of another one.
func (v *world) debsOf(w *world) {
	v.t.Helper()
	v.must(exec.Command("cp", "-R", w.path("cache", "debs"), v.path("cache", "debs")))
}

// overlay mounts an overlay on a folder of the world: a place like the file
// system of a container, on which no further overlay can write.
func (w *world) overlay(name string) {
	w.t.Helper()
	lower, upper, work := w.mkdir("overlay/lower"), w.mkdir("overlay/upper"), w.mkdir("overlay/work")
	options := "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work
	if err := unix.Mount("overlay", w.mkdir(name), "overlay", 0, options); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { unix.Unmount(w.path(name), unix.MNT_DETACH) })
}

// other is a world with the same project and lock, and nothing else in common.
func (w *world) other(t *testing.T, name string) *world {
	t.Helper()
	v := &world{t: t, dir: w.path(name), kiln: w.kiln}
	v.must(exec.Command("mkdir", "-p", v.dir))
	v.must(exec.Command("cp", "-R", w.path("shop"), v.path("shop")))
	v.env = append(w.env[:len(w.env):len(w.env)], "HOME="+v.mkdir("home"), "KILN_CACHE="+v.mkdir("cache"), "KILN_STORE="+v.path("store"))
	return v
}

// unprivileged runs kiln as root of a user namespace in which every id belongs
// to an ordinary user, as Unshare makes it for somebody with subordinate ids.
func (v *world) unprivileged(args ...string) []byte {
	v.t.Helper()
	const uid, sub = 54321, 600000
	v.must(exec.Command("chown", "-R", strconv.Itoa(uid)+":"+strconv.Itoa(uid), v.dir))
	for dir := v.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		v.must(exec.Command("chmod", "a+x", dir))
	}
	var out, talk bytes.Buffer
	exit, err := sandbox.UnshareMapped(context.Background(), sandbox.Command{
		Args: append([]string{"kiln"}, args...), Env: v.env, Stdout: &out, Stderr: &talk,
	}, sandbox.Mapping{UID: uid, GID: uid, SubUID: sub, SubGID: sub, Count: 65535})
	if err != nil || exit != 0 {
		v.t.Fatalf("kiln in a user namespace: %v, exit code %d\n%s", err, exit, talk.Bytes())
	}
	return out.Bytes()
}

func (v *world) same(t *testing.T, want map[string]string, out []byte) {
	t.Helper()
	got := v.digests(out)
	if !maps.Equal(got, want) {
		t.Errorf("digests differ:\n got %v\nwant %v", got, want)
	}
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

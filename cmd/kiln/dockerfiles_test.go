//go:build full

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// groundTemplate is what the Dockerfiles of testdata start from.
const groundTemplate = `project = "acme"
image "ground" {
  tier = "base"
  debian {
    suite    = "bookworm"
    variant  = "minbase"
    packages = ["python3-minimal"]
  }
}
`

// dockerArgs are build arguments, by Dockerfile.
var dockerArgs = map[string]map[string]string{
	"args": {"GIVEN": "1500", "VERSION": "2.5.1"},
}

// differences are files, or fields of the configuration, where kiln and buildah
// differ, by Dockerfile. docs/dockerfile.md says why, under the number.
var differences = map[string]map[string]int{
	"chown":     {"etc/shadow": 1},
	"nginx":     {"etc/shadow": 1},
	"node":      {"etc/shadow": 1},
	"workdir":   {"etc/shadow": 1},
	"go":        {"WorkingDir": 3},
	"labels":    {"ExposedPorts": 4},
	"shell":     {"Cmd": 5},
	"wildcards": {"w/escaped/arr0.cfg": 6, "w/escaped/arr[0].cfg": 6},
}

// mountPoints are what buildah leaves behind where a RUN stands (2).
var mountPoints = map[string]bool{"hostname": true, "hosts": true, "resolv.conf": true}

// Each Dockerfile of testdata/dockerfiles gives the same file tree and
// configuration as buildah gives, but for what docs/dockerfile.md lists.
func TestDockerfilesAsBuildah(t *testing.T) {
	p := newPeers(t)
	names := p.dockerfiles()
	if len(names) < 20 {
		t.Fatalf("only %d Dockerfiles", len(names))
	}
	refs := p.bakeAll(names)
	p.budAll(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) { p.compare(t, name, refs[name]) })
	}
}

// peers is a world with a containers-storage of its own.
type peers struct {
	*world
}

func newPeers(t *testing.T) *peers {
	p := &peers{world: newWorld(t)}
	p.mkdir("ground")
	p.mkdir("apps")
	if err := os.WriteFile(p.path("ground", "kiln.hcl"), []byte(groundTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	p.run("bake", "ground", "--output", "oci:"+p.path("ground.oci"), "--json")
	digest := ""
	for _, d := range p.digests(p.run("bake", "ground", "--json")) {
		digest = d
	}
	p.run("copy", "acme/ground@"+digest, "acme/ground:stable")
	conf := fmt.Sprintf("[storage]\ndriver = %q\ngraphroot = %q\nrunroot = %q\n", p.driver(), p.path("graph"), p.path("runroot"))
	if err := os.WriteFile(p.path("storage.conf"), []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	p.env = append(p.env, "CONTAINERS_STORAGE_CONF="+p.path("storage.conf"))
	t.Cleanup(func() {
		_ = p.tool("buildah", "rm", "--all").Run()
		_ = unix.Unmount(p.path("graph", "overlay"), unix.MNT_DETACH)
	})
	p.must(p.tool("skopeo", "copy", "-q", "oci:"+p.path("ground.oci"), "containers-storage:localhost/acme/ground:stable"))
	p.must(exec.Command("cp", "-R", filepath.Join("testdata", "dockerfiles"), p.path("docker")))
	return p
}

// driver is overlay where it can be mounted: vfs copies whole trees.
func (p *peers) driver() string {
	for _, d := range []string{"l", "u", "w", "m"} {
		p.mkdir(filepath.Join("try", d))
	}
	dir := func(d string) string { return p.path("try", d) }
	options := "lowerdir=" + dir("l") + ",upperdir=" + dir("u") + ",workdir=" + dir("w")
	if err := unix.Mount("overlay", dir("m"), "overlay", 0, options); err != nil {
		return "vfs"
	}
	_ = unix.Unmount(dir("m"), 0)
	return "overlay"
}

func (p *peers) tool(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = p.env, p.dir
	return cmd
}

func (p *peers) buildah(command string, args ...string) string {
	p.t.Helper()
	return strings.TrimSpace(string(p.must(p.tool("buildah", append([]string{command}, args...)...))))
}

// dockerfiles prepares the contexts, with modes as git has them.
func (p *peers) dockerfiles() []string {
	p.t.Helper()
	entries, err := os.ReadDir(p.path("docker"))
	if err != nil {
		p.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		dir := p.path("docker", e.Name())
		if _, err := os.Stat(filepath.Join(dir, "setup.sh")); err == nil {
			cmd := exec.Command("sh", "setup.sh")
			cmd.Dir = dir
			p.must(cmd)
		}
		p.must(exec.Command("chmod", "-R", "u=rwX,go=rX", dir))
	}
	return names
}

func (p *peers) budArgs(name string) []string {
	file := p.path("docker", name, "Dockerfile")
	if _, err := os.Stat(file + ".buildah"); err == nil {
		file += ".buildah" // buildah 1.28 knows no heredocs
	}
	args := []string{"--isolation", "chroot", "--format", "docker", "--identity-label=false", "-q", "-f", file, "-t", "localhost/acme/" + name}
	for key, value := range dockerArgs[name] {
		args = append(args, "--build-arg", key+"="+value)
	}
	return append(args, p.path("docker", name))
}

// budAll has buildah build every Dockerfile; onbuild's child waits for it.
func (p *peers) budAll(names []string) {
	p.t.Helper()
	var group errgroup.Group
	group.SetLimit(2)
	for _, name := range names {
		if name == "onbuild-child" {
			continue
		}
		group.Go(func() error {
			out, err := p.tool("buildah", append([]string{"bud"}, p.budArgs(name)...)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("buildah bud %s: %w: %s", name, err, out)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		p.t.Fatal(err)
	}
	p.buildah("bud", p.budArgs("onbuild-child")...)
}

// bakeAll bakes every Dockerfile in one template, and returns where each image
// is in the layout.
func (p *peers) bakeAll(names []string) map[string]string {
	p.t.Helper()
	var b strings.Builder
	b.WriteString("project = \"acme\"\n")
	for _, name := range names {
		fmt.Fprintf(&b, "image %q {\n  dockerfile {\n    path = \"%s/Dockerfile\"\n    context = %q\n    args = {\n", name, name, name)
		for key, value := range dockerArgs[name] {
			fmt.Fprintf(&b, "      %s = %q\n", key, value)
		}
		b.WriteString("    }\n  }\n}\n")
	}
	if err := os.WriteFile(p.path("docker", "kiln.hcl"), []byte(b.String()), 0o644); err != nil {
		p.t.Fatal(err)
	}
	var report bakeReport
	if err := json.Unmarshal(p.run("bake", "docker", "--json", "--output", "oci:"+p.path("apps.oci")), &report); err != nil {
		p.t.Fatal(err)
	}
	refs := map[string]string{}
	for _, img := range report.Images {
		refs[strings.TrimPrefix(img.Image, "acme/")] = img.Image + ":" + img.Tag
	}
	return refs
}

// compare holds one image of kiln against buildah's. What differs must be
// listed, and what is listed must differ.
func (p *peers) compare(t *testing.T, name, ref string) {
	p.must(p.tool("skopeo", "copy", "-q", "oci:"+p.path("apps.oci")+":"+ref, "containers-storage:localhost/kiln/"+name))
	differ := map[string]string{}
	config, other := p.config("localhost/kiln/"+name), p.config("localhost/acme/"+name)
	if config["OnBuild"] == nil { // buildah would run it before it shows the tree
		p.compareTrees(t, name, differ)
	}
	for _, m := range []map[string]any{config, other} {
		for key := range m {
			if !reflect.DeepEqual(config[key], other[key]) {
				differ[key] = fmt.Sprintf("   kiln %v\nbuildah %v", config[key], other[key])
			}
		}
	}
	for what, how := range differ {
		if differences[name][what] == 0 {
			t.Errorf("%s\n%s", what, how)
		}
	}
	for what := range differences[name] {
		if differ[what] == "" {
			t.Errorf("%s is listed, but does not differ", what)
		}
	}
}

func (p *peers) compareTrees(t *testing.T, name string, differ map[string]string) {
	ours, theirs := p.mounted("localhost/kiln/"+name), p.mounted("localhost/acme/"+name)
	have, want := tree(t, ours), tree(t, theirs)
	for _, path := range paths(have, want) {
		leftover := have[path] == "" && mountPoints[filepath.Base(path)] && strings.HasSuffix(want[path], " 0:0 0 bytes")
		if !leftover && (have[path] != want[path] || !sameContent(t, filepath.Join(ours, path), filepath.Join(theirs, path), have[path])) {
			differ[path] = fmt.Sprintf("   kiln %s\nbuildah %s", have[path], want[path])
		}
	}
}

// mounted is the folder where an image's tree can be seen.
func (p *peers) mounted(image string) string {
	p.t.Helper()
	return p.buildah("mount", p.buildah("from", "-q", "--pull-never", image))
}

// config is an image's configuration without what is empty, the order of the
// variables, and the name of buildah's container.
func (p *peers) config(image string) map[string]any {
	p.t.Helper()
	var got struct {
		Docker struct{ Config map[string]any }
	}
	if err := json.Unmarshal([]byte(p.buildah("inspect", "--type", "image", image)), &got); err != nil {
		p.t.Fatal(err)
	}
	config := map[string]any{}
	for key, value := range got.Docker.Config {
		v := reflect.ValueOf(value)
		switch {
		case value == nil || v.IsZero() || key == "Hostname":
			continue
		case (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0:
			continue
		case key == "Env":
			list := map[any]bool{}
			for _, kv := range value.([]any) {
				list[kv] = true
			}
			value = list
		}
		config[key] = value
	}
	return config
}

// tree describes all files below a folder: type, mode, owner, size, link and
// extended attributes.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	list := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		line := fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
		switch {
		case info.Mode().IsRegular():
			line += fmt.Sprintf(" %d bytes", info.Size())
		case info.Mode()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			line += " -> " + link
		}
		names := make([]byte, 4096)
		if n, err := unix.Llistxattr(path, names); err == nil && n > 0 {
			line += fmt.Sprintf(" %q", names[:n])
		}
		rel, err := filepath.Rel(root, path)
		list[rel] = line
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func paths(a, b map[string]string) []string {
	var list []string
	for path := range a {
		list = append(list, path)
	}
	for path := range b {
		if _, ok := a[path]; !ok {
			list = append(list, path)
		}
	}
	sort.Strings(list)
	return list
}

// sameContent compares two files byte by byte, unless both are one and the
// same file of a shared layer.
func sameContent(t *testing.T, a, b, line string) bool {
	t.Helper()
	if !strings.HasPrefix(line, "-") && !strings.Contains(line, " bytes") {
		return true
	}
	x, errA := os.Lstat(a)
	y, errB := os.Lstat(b)
	if errA != nil || errB != nil {
		return false
	}
	if x.Size() == y.Size() && x.ModTime().Equal(y.ModTime()) && x.Sys().(*syscall.Stat_t).Ino == y.Sys().(*syscall.Stat_t).Ino {
		return true
	}
	left, errA := os.ReadFile(a)
	right, errB := os.ReadFile(b)
	return errA == nil && errB == nil && string(left) == string(right)
}

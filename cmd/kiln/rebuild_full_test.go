//go:build full

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"testing"
)

// small is a base and an image with one package more.
const small = `
project = "acme"
image "base" {
  tier = "base"
  debian {
    suite   = "bookworm"
    variant = "essential"
  }
}
image "more" {
  tier     = "middleware"
  from     = image.base
  packages = ["hello"]
}
`

// TestRebuildPackages bakes images with packages again without any network:
// from the .debs that the store kept. It looks into them on the way.
func TestRebuildPackages(t *testing.T) {
	w := newWorld(t)
	w.keys("bake")
	if err := os.WriteFile(w.path("shop", "kiln.hcl"), []byte(small), 0o644); err != nil {
		t.Fatal(err)
	}
	w.commit("shop")
	list := w.digests(w.run("bake", "shop", "--key", "bake.key", "--json"))
	base, more := "acme/base@"+list["acme/base"], "acme/more@"+list["acme/more"]
	// The lock is in no commit, and the tree has moved on.
	os.Remove(w.path("shop", "kiln.lock"))
	appendTo(t, w.path("shop", "kiln.hcl"), "\n# changed\n")

	verify := w.command(nil, "verify", more, "--key", "bake.pub", "--rebuild", "--source", "shop", "--json")
	alone := exec.Command("unshare", append([]string{"-n"}, verify.Args...)...)
	alone.Dir, alone.Env = verify.Dir, verify.Env
	var report verifyReport
	if err := json.Unmarshal(w.must(alone), &report); err != nil || report.Rebuilt == nil || !report.Rebuilt.Identical {
		t.Errorf("%v: rebuilt %+v", err, report.Rebuilt)
	}

	fromRecord := w.run("diff", base, more, "--json")
	var d diffReport
	if err := json.Unmarshal(fromRecord, &d); err != nil {
		t.Fatal(err)
	}
	named := func(p diffPackage) bool { return p.Name == "hello" && p.After != "" }
	if !slices.ContainsFunc(d.Packages.Added, named) || len(d.Packages.Removed) != 0 || d.Shared.Layers != 1 || d.Files.Added < 10 {
		t.Errorf("packages %+v, %d layers shared, %d files added", d.Packages, d.Shared.Layers, d.Files.Added)
	}
	// A key that signed nothing: the layers are read, and tell the same.
	w.keys("other")
	read := w.command([]string{"KILN_CACHE=" + w.mkdir("empty")}, "diff", base, more, "--key", "other.pub", "--json")
	if fromLayers := w.must(read); !bytes.Equal(fromLayers, fromRecord) {
		t.Errorf("from layers\n%s\nfrom records\n%s", fromLayers, fromRecord)
	}

	// Over HTTP, as the store and as any other registry, it is the same.
	w.keys("promote")
	s := &served{world: w, location: w.path("store")}
	s.start()
	look := func(args ...string) (r inspectReport) {
		t.Helper()
		out := w.run(append([]string{"inspect", "--key", "bake.pub", "--files", "--json"}, args...)...)
		if err := json.Unmarshal(out, &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	near := look(more)
	if len(near.Layers) != 2 || len(near.Layers[0].Entries) < 1000 || near.Layers[0].Own || !near.Layers[1].Own || near.Scan == nil {
		t.Errorf("inspect %s: %d layers, scan %v", more, len(near.Layers), near.Scan)
	}
	for name, far := range map[string]inspectReport{"store": look(more, "--store", s.url), "registry": look(s.host + "/" + more)} {
		if !reflect.DeepEqual(far.Layers, near.Layers) || !reflect.DeepEqual(far.Config, near.Config) || !reflect.DeepEqual(far.Parents, near.Parents) {
			t.Errorf("as %s it has other layers, configuration or parents", name)
		}
		if len(far.Evidence.Attestations) != len(near.Evidence.Attestations) || !reflect.DeepEqual(far.Scan, near.Scan) {
			t.Errorf("as %s: evidence %+v, want %+v", name, far.Evidence, near.Evidence)
		}
	}
}

//go:build full

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
)

// TestRebuildPackages bakes images with packages again without any network:
// from the .debs that the store kept. It looks into them on the way.
func TestRebuildPackages(t *testing.T) {
	w := newWorld(t)
	w.run("keygen", "--output-prefix", "bake")
	w.commit("shop")
	list := w.digests(w.run("bake", "shop", "--target", "runtime", "--key", "bake.key", "--json"))
	base, runtime := "acme/base@"+list["acme/base"], "acme/runtime@"+list["acme/runtime"]
	// The lock is in no commit, and the tree has moved on.
	os.Remove(w.path("shop", "kiln.lock"))
	appendTo(t, w.path("shop", "kiln.hcl"), "\n# changed\n")

	verify := w.command(nil, "verify", runtime, "--key", "bake.pub", "--rebuild", "--source", "shop", "--json")
	alone := exec.Command("unshare", append([]string{"-n"}, verify.Args...)...)
	alone.Dir, alone.Env = verify.Dir, verify.Env
	var report verifyReport
	if err := json.Unmarshal(w.must(alone), &report); err != nil || report.Rebuilt == nil || !report.Rebuilt.Identical {
		t.Errorf("%v: rebuilt %+v", err, report.Rebuilt)
	}

	fromRecord := w.run("diff", base, runtime, "--json")
	var d diffReport
	if err := json.Unmarshal(fromRecord, &d); err != nil {
		t.Fatal(err)
	}
	named := func(p diffPackage) bool { return p.Name == "nodejs" && p.After != "" }
	if !slices.ContainsFunc(d.Packages.Added, named) || len(d.Packages.Removed) != 0 || d.Shared.Layers != 1 || d.Files.Added < 100 {
		t.Errorf("base and runtime: packages %+v, %d layers shared, %d files added", d.Packages, d.Shared.Layers, d.Files.Added)
	}
	// A key that signed nothing: the layers are read, and tell the same.
	w.run("keygen", "--output-prefix", "other")
	read := w.command([]string{"KILN_CACHE=" + w.mkdir("empty")}, "diff", base, runtime, "--key", "other.pub", "--json")
	if fromLayers := w.must(read); !bytes.Equal(fromLayers, fromRecord) {
		t.Errorf("from layers\n%s\nfrom records\n%s", fromLayers, fromRecord)
	}
}

//go:build full

package ociserver_test

import (
	"context"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kiln/registry/ociserver"
	"kiln/registry/store"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
)

// conformance is the OCI's own test program, of this version.
const conformance = "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111"

// TestConformance runs it over a folder.
func TestConformance(t *testing.T) {
	s, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	testConformance(t, s, s.Pointers())
}

// testConformance wants no failure and no skip with every optional part of the
// API enabled. Of the data, only the manifests that name what nobody pushed
// ("sparse") are left out, as the program does by default: the spec lets a
// registry refuse them, and kiln does, as what is stored is whole.
func testConformance(t *testing.T, s store.Store, p store.Pointers) {
	program := build(t, conformance)
	var w *world
	w = newWorldOver(t, s, p, ociserver.Options{FindBlob: func(ctx context.Context, d digest.Digest) (string, error) {
		return w.reg.FindBlob(ctx, d, func(string) bool { return true })
	}})
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "OCI_REGISTRY="+w.host(), "OCI_TLS=disabled", "OCI_VERSION=dev", "OCI_RESULTS_DIR="+dir,
		"OCI_API_BLOBS_DIGEST_HEADER=true", "OCI_API_BLOBS_UPLOAD_CANCEL=true",
		"OCI_API_MANIFESTS_DIGEST_HEADER=true", "OCI_API_MANIFESTS_TAG_PARAM=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("conformance: %v\n%s", err, out)
	}
	r := readResults(t, filepath.Join(dir, "junit.xml"))
	t.Logf("%d cases, %d failures, %d errors, %d skipped", r.Tests, r.Failures, r.Errors, r.Skipped)
	if r.Tests < 900 || r.Skipped+r.Failures+r.Errors > 0 {
		t.Errorf("%+v\n%s", r, out)
	}
}

// results are the totals of a JUnit report.
type results struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Skipped  int `xml:"skipped,attr"`
}

func readResults(t *testing.T, file string) results {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := xml.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// build makes a program of a Go module, once per machine.
func build(t *testing.T, pkg string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "kiln-test", "bin")
	name, version := nameOf(pkg)
	program := filepath.Join(bin, name+"-"+version)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(bin, "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.CommandContext(t.Context(), "go", "install", pkg)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "GOBIN="+tmp, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
	if err := os.Rename(filepath.Join(tmp, name), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// nameOf splits a package with a version: what it is built as, and the version.
func nameOf(pkg string) (name, version string) {
	for i := range pkg {
		if pkg[i] == '@' {
			return filepath.Base(pkg[:i]), pkg[i+1:]
		}
	}
	return filepath.Base(pkg), ""
}

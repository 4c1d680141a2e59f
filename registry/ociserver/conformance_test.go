//go:build full

package ociserver_test

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kiln/registry/ociserver"
)

// conformance is the OCI's own test program, of this version.
const conformance = "github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111"

// TestConformance runs it with every optional part enabled.
func TestConformance(t *testing.T) {
	program := build(t, conformance)
	w := newWorld(t, ociserver.Options{})
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
	// Skipped is the mount that guesses where a blob is: the server refuses to.
	if r.Tests < 900 || r.Skipped > 2 || r.Failures+r.Errors > 0 {
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

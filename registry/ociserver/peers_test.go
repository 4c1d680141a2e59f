//go:build full

package ociserver_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiln/registry/ociserver"
	"kiln/registry/registrytest"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// crane is a client that others are built on, of this version.
const crane = "github.com/google/go-containerregistry/cmd/crane@v0.22.1"

// run runs a program and returns what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// TestCrane pushes, copies, lists, tags, reads and deletes.
func TestCrane(t *testing.T) { testCrane(t, newWorld(t, ociserver.Options{MaxPage: 3})) }

func testCrane(t *testing.T, w *world) {
	program, dir := build(t, crane), t.TempDir()
	crane := func(args ...string) string { t.Helper(); return run(t, dir, program, args...) }
	image := w.host() + "/" + repo
	layer := filepath.Join(dir, "layer.tar")
	run(t, dir, "tar", "-cf", layer, "--files-from", "/dev/null")
	crane("append", "--new_layer", layer, "--new_tag", image+":one", "--oci-empty-base")
	d := crane("digest", image+":one")
	for _, tag := range []string{"two", "three", "four", "five"} {
		crane("tag", image+":one", tag)
	}
	if got := crane("ls", image); got != "five\nfour\none\nthree\ntwo" {
		t.Errorf("tags %q", got)
	}
	crane("copy", image+":one", w.host()+"/acme/copy:one")
	if got := crane("catalog", w.host()); got != "acme/copy\nacme/shop" {
		t.Errorf("repositories %q", got)
	}
	crane("validate", "--remote", w.host()+"/acme/copy:one")
	crane("pull", "--format", "oci", image+"@"+d, filepath.Join(dir, "layout"))
	crane("push", filepath.Join(dir, "layout"), image+":again")
	if got := crane("digest", image+":again"); got != d {
		t.Errorf("digest %s, want %s", got, d)
	}
	crane("delete", image+":two")
	if got := crane("ls", image); strings.Contains(got, "two") {
		t.Errorf("tags %q", got)
	}
	crane("delete", image+"@"+d)
	if got := crane("catalog", w.host()); got != "acme/copy" {
		t.Errorf("repositories %q", got)
	}
}

// TestSkopeo copies in and out, in both formats. It, buildah and curl are
// Debian's packages of these names.
func TestSkopeo(t *testing.T) { testSkopeo(t, newWorld(t, ociserver.Options{})) }

func testSkopeo(t *testing.T, w *world) {
	dir := t.TempDir()
	registrytest.PushImage(t, w.reg, repo, "", []string{"latest"}, gzipped(t, w))
	image := "docker://" + w.host() + "/" + repo
	skopeo := func(args ...string) string { t.Helper(); return run(t, dir, "skopeo", args...) }
	skopeo("copy", "--src-tls-verify=false", image+":latest", "oci:layout:latest")
	skopeo("copy", "--dest-tls-verify=false", "oci:layout:latest", image+":copy")
	skopeo("copy", "--dest-tls-verify=false", "--format", "v2s2", "oci:layout:latest", image+":docker")
	skopeo("copy", "--all", "--src-tls-verify=false", "--dest-tls-verify=false", image+":copy", "docker://"+w.host()+"/acme/other:copy")
	if out := skopeo("list-tags", "--tls-verify=false", image); !strings.Contains(out, `"docker"`) {
		t.Errorf("tags %s", out)
	}
	one := skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", image+":latest")
	two := skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", "docker://"+w.host()+"/acme/other:copy")
	if one != two {
		t.Errorf("digests %s and %s", one, two)
	}
	skopeo("delete", "--tls-verify=false", image+":docker")
}

// TestBuildah pulls an image, commits a change and pushes it.
func TestBuildah(t *testing.T) {
	w, dir := newWorld(t, ociserver.Options{}), t.TempDir()
	registrytest.PushImage(t, w.reg, repo, "", []string{"latest"}, gzipped(t, w))
	buildah := func(args ...string) string {
		t.Helper()
		return run(t, dir, "buildah", append([]string{"--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}, args...)...)
	}
	image := w.host() + "/" + repo
	c := buildah("from", "--tls-verify=false", "--pull-always", image+":latest")
	buildah("config", "--label", "changed=yes", c)
	id := buildah("commit", "--tls-verify=false", c, "docker://"+image+":changed")
	if _, err := w.reg.Tag(t.Context(), repo, "changed"); err != nil {
		t.Errorf("%s: %v", id, err)
	}
	buildah("pull", "--tls-verify=false", image+":changed")
}

// gzipped makes the image one that can be unpacked.
func gzipped(t *testing.T, w *world) func(*ocispec.Manifest) {
	dir := t.TempDir()
	run(t, dir, "tar", "-cf", "layer.tar", "--files-from", "/dev/null")
	plain, err := os.ReadFile(filepath.Join(dir, "layer.tar"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(plain)
	config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created_by":"test"}]}`, hex.EncodeToString(sum[:]))
	run(t, dir, "gzip", "-n", "layer.tar")
	layer, err := os.ReadFile(filepath.Join(dir, "layer.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	return func(m *ocispec.Manifest) {
		m.Config = registrytest.PushBlob(t, w.reg, repo, ocispec.MediaTypeImageConfig, config)
		m.Layers = []ocispec.Descriptor{registrytest.PushBlob(t, w.reg, repo, ocispec.MediaTypeImageLayerGzip, string(layer))}
	}
}

// TestCurl sends what a person would.
func TestCurl(t *testing.T) {
	w, dir := newWorld(t, ociserver.Options{}), t.TempDir()
	d := w.image("layer", "latest")
	curl := func(args ...string) string {
		t.Helper()
		return run(t, dir, "curl", append([]string{"-sS", "--fail-with-body"}, args...)...)
	}
	if got := curl(w.url + "/v2/"); got != "{}" {
		t.Errorf("ping: %q", got)
	}
	blob := filepath.Join(dir, "blob")
	if err := os.WriteFile(blob, bytes.Repeat([]byte("0123456789"), 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := strings.Fields(run(t, dir, "sha256sum", blob))[0]
	curl("-X", "POST", "--data-binary", "@"+blob, "-H", "Content-Type: application/octet-stream", w.url+"/v2/"+repo+"/blobs/uploads/?digest=sha256:"+sum)
	out := filepath.Join(dir, "out")
	curl("-r", "0-999999", "-o", out, w.url+"/v2/"+repo+"/blobs/sha256:"+sum)
	curl("-C", "-", "-o", out, w.url+"/v2/"+repo+"/blobs/sha256:"+sum) // resumes
	if got := strings.Fields(run(t, dir, "sha256sum", out))[0]; got != sum {
		t.Errorf("sha256 %s, want %s", got, sum)
	}
	if head := curl("-I", w.url+"/v2/"+repo+"/manifests/latest"); !strings.Contains(head, d) {
		t.Errorf("head: %s", head)
	}
}

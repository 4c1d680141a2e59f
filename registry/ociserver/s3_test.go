//go:build full

package ociserver_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"kiln/registry/ociserver"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/s3store"
	"kiln/registry/store/s3store/s3test"

	"github.com/opencontainers/go-digest"
)

// openBucket is a store in a bucket of a running service.
func openBucket(t *testing.T) *s3store.Store {
	t.Helper()
	server := s3test.Start(t)
	o, err := s3store.ParseLocation(s3test.Location(server.URL, server.Bucket()))
	if err != nil {
		t.Fatal(err)
	}
	o.Create = true
	s, err := s3store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestConformanceS3 runs the OCI's program over a bucket.
func TestConformanceS3(t *testing.T) {
	s := openBucket(t)
	testConformance(t, s, s.Pointers())
}

// TestCraneS3 and the next are a part of the clients, over a bucket.
func TestCraneS3(t *testing.T) {
	s := openBucket(t)
	testCrane(t, newWorldOver(t, s, s.Pointers(), ociserver.Options{MaxPage: 3}))
}

func TestSkopeoS3(t *testing.T) {
	s := openBucket(t)
	testSkopeo(t, newWorldOver(t, s, s.Pointers(), ociserver.Options{}))
}

// TestRedirectS3: clients read blobs, and parts of them, where they lie.
func TestRedirectS3(t *testing.T) {
	s := openBucket(t)
	w := newWorldOver(t, s, s.Pointers(), ociserver.Options{
		Redirect: func(ctx context.Context, _ string, d digest.Digest) (string, error) {
			return s.URL(ctx, store.BlobKey(d), time.Minute)
		},
	})
	content := strings.Repeat("0123456789", 100_000)
	d := registrytest.PushBlob(t, w.reg, repo, "", content).Digest.String()
	path := base + "/blobs/" + d
	a := w.do("GET", path, nil, "Authorization", "Bearer secret")
	w.want(a, http.StatusTemporaryRedirect, "")
	if to := a.Header.Get("Location"); to == "" || strings.HasPrefix(to, w.url) || strings.Contains(to, "secret") {
		t.Errorf("sent to %q", to)
	}
	dir := t.TempDir()
	if got := run(t, dir, "curl", "-sSL", "--fail-with-body", "-r", "999998-", w.url+path); got != "89" {
		t.Errorf("a range: %q", got)
	}
	run(t, dir, "curl", "-sSL", "--fail-with-body", "-o", "blob", w.url+path)
	if sum := strings.Fields(run(t, dir, "sha256sum", "blob"))[0]; "sha256:"+sum != d {
		t.Errorf("sha256 %s, want %s", sum, d)
	}
	crane := build(t, crane)
	image := registrytest.PushImage(t, w.reg, repo, "", nil, gzipped(t, w))
	run(t, dir, crane, "validate", "--remote", w.host()+"/"+repo+"@"+image.Digest.String())
}

// TestCosignS3 signs and verifies with cosign.
func TestCosignS3(t *testing.T) {
	s := openBucket(t)
	w := newWorldOver(t, s, s.Pointers(), ociserver.Options{})
	program, dir := build(t, "github.com/sigstore/cosign/v2/cmd/cosign@v2.6.5"), t.TempDir()
	t.Setenv("COSIGN_PASSWORD", "secret")
	run(t, dir, program, "generate-key-pair")
	image := registrytest.PushImage(t, w.reg, repo, "", []string{"latest"}, gzipped(t, w))
	ref := w.host() + "/" + repo + "@" + image.Digest.String()
	run(t, dir, program, "sign", "--key", "cosign.key", "--tlog-upload=false", "--allow-http-registry", "--yes", ref)
	run(t, dir, program, "verify", "--key", "cosign.pub", "--private-infrastructure", "--allow-http-registry", ref)
}

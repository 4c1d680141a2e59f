package ociserver_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"kiln/registry"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"

	"github.com/opencontainers/go-digest"
)

// TestMountAnonymous: a mount that does not say from where finds what the
// caller may read, and else becomes an upload (FAULTS 9).
func TestMountAnonymous(t *testing.T) {
	var find func(d digest.Digest) (string, error)
	w := newWorld(t, ociserver.Options{FindBlob: func(_ context.Context, d digest.Digest) (string, error) { return find(d) }})
	d := registrytest.PushBlob(t, w.reg, "acme/base", "", "shared").Digest
	mount := base + "/blobs/uploads/?mount=" + d.String()
	for _, c := range []struct {
		name, image string
		err         error
		status      int
	}{
		{"none", "", registry.Errorf(registry.CodeBlobUnknown, "none"), 202},
		{"denied", "", registry.Errorf(registry.CodeDenied, "no"), 202},
		{"gone meanwhile", "acme/gone", nil, 202},
		{"broken", "", errors.New("disk"), 500},
		{"there", "acme/base", nil, 201},
	} {
		find = func(got digest.Digest) (string, error) {
			if got != d {
				t.Errorf("%s: asked for %s", c.name, got)
			}
			return c.image, c.err
		}
		w.want(w.do("HEAD", base+"/blobs/"+d.String(), nil), 404, "")
		a := w.do("POST", mount, nil)
		w.want(a, c.status, "")
		if c.status == 201 {
			w.wantHeader(a, "Location", base+"/blobs/"+d.String())
		}
	}
	w.want(w.do("HEAD", base+"/blobs/"+d.String(), nil), 200, "")
}

// TestRedirect: blobs are read elsewhere only by those who may read them here.
func TestRedirect(t *testing.T) {
	to, fail := "https://bucket.example.com/x?signature=y", error(nil)
	w := newWorld(t, ociserver.Options{Redirect: func(_ context.Context, image string, d digest.Digest) (string, error) {
		if image != repo {
			t.Errorf("asked for a blob of %s", image)
		}
		return to, fail
	}})
	d := registrytest.PushBlob(t, w.reg, repo, "", "bytes").Digest.String()
	path := base + "/blobs/" + d
	a := w.do("GET", path, nil, "Range", "bytes=1-2")
	w.want(a, http.StatusTemporaryRedirect, "")
	w.wantHeader(a, "Location", to)
	w.wantHeader(a, "Cache-Control", "no-store")
	w.wantHeader(a, "Docker-Content-Digest", d)
	if a.body != "" {
		t.Errorf("body %q", a.body)
	}
	w.want(w.do("GET", path, nil, "If-None-Match", `"`+d+`"`), 304, "")
	a = w.do("HEAD", path, nil)
	w.want(a, 200, "")
	w.wantHeader(a, "Content-Length", "5")
	w.want(w.do("GET", "/v2/acme/other/blobs/"+d, nil), 404, "BLOB_UNKNOWN")

	to = "" // from here, after all
	if a := w.do("GET", path, nil); a.StatusCode != 200 || a.body != "bytes" {
		t.Errorf("%s %q", a.Status, a.body)
	}
	fail = errors.New("no address for secret-bucket")
	a = w.do("GET", path, nil)
	w.want(a, 500, "")
	if strings.Contains(a.body, "secret") {
		t.Errorf("answer %s", a.body)
	}
}

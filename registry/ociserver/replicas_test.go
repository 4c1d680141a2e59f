package ociserver_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"kiln/registry/contentstore"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestDeletedStaysDeleted: what one replica deletes no other brings back, be it
// read there before, asked for again, or pushed to another image (FAULTS 10);
// and a tag that moves there moves here, without the old digest getting lost
// (FAULTS 14).
func TestDeletedStaysDeleted(t *testing.T) {
	dir := t.TempDir()
	here, there := newReplica(t, dir), newReplica(t, dir)
	layer := strings.Repeat("layer", 1000)
	d := here.image(layer, "latest", "old")
	blob := base + "/blobs/" + digest.FromString(layer).String()
	pages := []string{blob, base + "/manifests/latest", base + "/manifests/" + d, base + "/referrers/" + d, base + "/tags/list"}
	for _, w := range []*world{here, there, here} {
		for _, page := range pages {
			w.want(w.do("GET", page, nil), 200, "")
			w.want(w.do("HEAD", page, nil), 200, "")
		}
	}
	next := there.image("next", "latest")
	here.wantHeader(here.do("GET", base+"/manifests/latest", nil), "Docker-Content-Digest", next)
	here.want(here.do("GET", base+"/manifests/"+d, nil), 200, "")

	there.want(there.do("DELETE", base+"/manifests/"+d, nil), 202, "")
	there.want(there.do("DELETE", blob, nil), 202, "")
	registrytest.PushImage(t, there.reg, "acme/other", layer, nil) // the same bytes elsewhere
	for range 2 {
		for _, w := range []*world{here, there} {
			for _, method := range []string{"GET", "HEAD"} {
				w.want(w.do(method, blob, nil), 404, "")
				w.want(w.do(method, base+"/manifests/"+d, nil), 404, "")
				w.want(w.do(method, base+"/manifests/old", nil), 404, "")
			}
			if a := w.do("GET", base+"/tags/list", nil); a.body != `{"name":"acme/shop","tags":["latest"]}` {
				t.Errorf("tags %s", a.body)
			}
		}
	}
	manifest := manifestOf(t, there, "acme/other")
	here.want(here.do("PUT", base+"/manifests/back", strings.NewReader(manifest), "Content-Type", ocispec.MediaTypeImageManifest), 404, "MANIFEST_BLOB_UNKNOWN")
}

// newReplica is a server of its own over the store in dir.
func newReplica(t *testing.T, dir string) *world {
	t.Helper()
	s, err := filestore.Open(t.Context(), dir, filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, reg: contentstore.New(s, s.Pointers(), contentstore.Options{})}
	server := httptest.NewServer(ociserver.New(w.reg, ociserver.Options{}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// manifestOf is the manifest of the only image in a repository.
func manifestOf(t *testing.T, w *world, repo string) string {
	t.Helper()
	d := registrytest.PushImage(t, w.reg, repo, strings.Repeat("layer", 1000), nil)
	_, content, err := w.reg.Manifest(t.Context(), repo, d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

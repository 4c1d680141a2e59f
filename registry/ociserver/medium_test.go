//go:build full

package ociserver_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"kiln/registry/ociserver"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// TestFullStore: a client of a server whose disk is full is told so with 507
// and STORE_FULL, and the operator's log names the cause. What is there is
// served, an upload goes on where it was, and with room again pushes succeed
// (FAULTS 39).
func TestFullStore(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Fatalf("mount: %v (this test runs as root)", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	s, err := filestore.Open(t.Context(), dir, filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w := newWorldOver(t, s, s.Pointers(), ociserver.Options{Log: textLog(&log)})
	push := func(size int) (answer, digest.Digest) {
		data := bytes.Repeat([]byte{byte(size), 'x'}, size/2)
		d := digest.FromBytes(data)
		start := w.do("POST", "/v2/acme/shop/blobs/uploads/", nil)
		if start.StatusCode != http.StatusAccepted {
			return start, d
		}
		at := strings.TrimPrefix(start.Header.Get("Location"), w.url)
		if got := w.do("PATCH", at, bytes.NewReader(data), "Content-Type", "application/octet-stream"); got.StatusCode != http.StatusAccepted {
			// The upload is as it was.
			if status := w.do("GET", at, nil); status.StatusCode != http.StatusNoContent {
				t.Errorf("upload after a failed chunk: %d %s", status.StatusCode, status.body)
			}
			return got, d
		}
		return w.do("PUT", at+query(at)+"digest="+string(d), nil), d
	}
	small, kept := push(1000)
	first, large := push(2 << 20)
	if small.StatusCode != http.StatusCreated || first.StatusCode != http.StatusCreated {
		t.Fatalf("pushes: %d, %d", small.StatusCode, first.StatusCode)
	}
	full, _ := push(3 << 20)
	if full.StatusCode != http.StatusInsufficientStorage || !strings.Contains(full.body, "STORE_FULL") || !strings.Contains(full.body, "full") {
		t.Errorf("push to a full store: %d %s", full.StatusCode, full.body)
	}
	if !strings.Contains(log.String(), "no space left on device") {
		t.Errorf("the operator is not told: %s", log.String())
	}
	if got := w.do("GET", "/v2/acme/shop/blobs/"+string(kept), nil); got.StatusCode != http.StatusOK || len(got.body) != 1000 {
		t.Errorf("pull from a full store: %d", got.StatusCode)
	}
	if err := w.reg.DeleteBlob(t.Context(), "acme/shop", large); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "blobs/sha256/"+large.Encoded()[:2]+"/"+large.Encoded()); err != nil {
		t.Fatal(err)
	}
	if got, _ := push(3<<20 + 2); got.StatusCode != http.StatusCreated {
		t.Errorf("with room again: %d %s", got.StatusCode, got.body)
	}
}

func query(location string) string {
	if strings.Contains(location, "?") {
		return "&"
	}
	return "?"
}

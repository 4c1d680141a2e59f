package contentstore_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// TestCheckedOnce: a blob is hashed when it is first read whole, and then sent
// unseen only as long as nobody has written to its file (FAULTS 11).
func TestCheckedOnce(t *testing.T) {
	s := openStore(t)
	r := contentOf(s)
	content := "content of a layer"
	d := registrytest.PushBlob(t, r, repo, "", content).Digest
	path := filepath.Join(s.Dir(), store.BlobKey(d))
	rest := func() { time.Sleep(150 * time.Millisecond) } // files that change now are not trusted
	rest()
	open := func(offset, length int64) (io.ReadCloser, bool) {
		t.Helper()
		rc, err := r.OpenBlob(t.Context(), repo, d, offset, length)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { rc.Close() })
		_, ok := rc.(registry.CheckedBlob)
		return rc, ok
	}
	wantSent := func(rc io.ReadCloser, want string) {
		t.Helper()
		var out bytes.Buffer
		if _, err := rc.(registry.CheckedBlob).WriteTo(&out); err != nil || out.String() != want {
			t.Errorf("sent %q, %v; want %q", out.String(), err, want)
		}
	}

	if _, ok := open(3, 4); ok {
		t.Error("a part counts as checked before anybody has read the whole")
	}
	half, ok := open(0, -1)
	if ok {
		t.Error("checked before it was read")
	}
	if _, err := io.ReadFull(half, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	whole, ok := open(0, -1)
	if ok {
		t.Error("checked when only a part was read")
	}
	if got, err := io.ReadAll(whole); err != nil || string(got) != content {
		t.Fatal(string(got), err)
	}
	rc, ok := open(0, -1)
	if !ok {
		t.Fatal("not checked after it was read whole")
	}
	wantSent(rc, content)
	rc, ok = open(3, 4)
	if !ok {
		t.Fatal("a part of what is checked is not")
	}
	wantSent(rc, content[3:7])
	if rc, err := contentOf(s).OpenBlob(t.Context(), repo, d, 0, -1); err != nil {
		t.Error(err)
	} else {
		defer rc.Close()
		if _, ok := rc.(registry.CheckedBlob); ok {
			t.Error("checked by another process")
		}
	}

	// The same size and the same time of change, as far as one can set it.
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("CONTENT of a layer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		rc, ok := open(0, -1)
		if ok {
			t.Fatal("checked after somebody wrote to it")
		}
		if _, err := io.ReadAll(rc); !errors.Is(err, registry.CodeCorrupt) {
			t.Errorf("read: %v, want CodeCorrupt", err)
		}
		rest()
	}
}

// TestCheckedForgetsDeleted: what was checked is not served when its link, or
// its bytes, are gone, whoever removed them (FAULTS 10).
func TestCheckedForgetsDeleted(t *testing.T) {
	for name, remove := range map[string]func(t *testing.T, other *contentstore.Registry, path string, d digest.Digest){
		"link": func(t *testing.T, other *contentstore.Registry, _ string, d digest.Digest) {
			if err := other.DeleteBlob(t.Context(), repo, d); err != nil {
				t.Fatal(err)
			}
		},
		"bytes": func(t *testing.T, _ *contentstore.Registry, path string, _ digest.Digest) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			r := contentOf(s)
			d := registrytest.PushBlob(t, r, repo, "", "content").Digest
			time.Sleep(150 * time.Millisecond)
			rc, err := r.OpenBlob(t.Context(), repo, d, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(rc); err != nil {
				t.Fatal(err)
			}
			rc.Close()
			remove(t, contentOf(s), filepath.Join(s.Dir(), store.BlobKey(d)), d)
			if _, err := r.OpenBlob(t.Context(), repo, d, 0, -1); !errors.Is(err, registry.CodeBlobUnknown) {
				t.Errorf("got %v, want CodeBlobUnknown", err)
			}
		})
	}
}

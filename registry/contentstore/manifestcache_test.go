package contentstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestManifestCache: what another process moves, deletes or breaks is moved,
// deleted or broken for one that has it in memory (FAULTS 10, 11; CVE-2026-35172).
func TestManifestCache(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, other *contentstore.Registry, bytes string, d digest.Digest) error
		want error
	}{
		"manifest deleted": {func(t *testing.T, other *contentstore.Registry, _ string, d digest.Digest) error {
			return other.DeleteManifest(t.Context(), repo, d)
		}, registry.CodeManifestUnknown},
		"bytes gone": {func(_ *testing.T, _ *contentstore.Registry, path string, _ digest.Digest) error {
			return os.Remove(path)
		}, registry.CodeCorrupt},
		"bytes broken": {func(_ *testing.T, _ *contentstore.Registry, path string, _ digest.Digest) error {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.ToUpper(content), 0o644)
		}, registry.CodeCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t)
			r, other := contentOf(s), contentOf(s)
			d := registrytest.PushImage(t, r, repo, "x", []string{"latest"}).Digest
			for range 2 { // the second time from memory
				if _, content, err := r.Manifest(t.Context(), repo, d); err != nil || digest.FromBytes(content) != d {
					t.Fatal(err)
				} else {
					content[0] = 'x' // the caller's own
				}
				if _, err := r.Tag(t.Context(), repo, "latest"); err != nil {
					t.Fatal(err)
				}
			}
			if _, _, err := r.Manifest(t.Context(), "acme/other", d); !errors.Is(err, registry.CodeManifestUnknown) {
				t.Errorf("another image: %v", err) // FAULTS 9
			}
			if err := c.do(t, other, filepath.Join(s.Dir(), store.BlobKey(d)), d); err != nil {
				t.Fatal(err)
			}
			if _, _, err := r.Manifest(t.Context(), repo, d); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if _, err := r.Tag(t.Context(), repo, "latest"); name == "manifest deleted" && !errors.Is(err, registry.CodeManifestUnknown) {
				t.Errorf("tag: %v", err)
			}
		})
	}
}

// TestManifestCacheFollowsTags: a tag that another process moves is moved.
func TestManifestCacheFollowsTags(t *testing.T) {
	s := openStore(t)
	r, other := contentOf(s), contentOf(s)
	for _, content := range []string{"one", "two", "one", "three"} {
		want := registrytest.PushImage(t, other, repo, content, []string{"latest"}).Digest
		if desc, err := r.Tag(t.Context(), repo, "latest"); err != nil || desc.Digest != want {
			t.Errorf("got %s, %v; want %s", desc.Digest, err, want)
		}
		if _, _, err := r.Manifest(t.Context(), repo, want); err != nil {
			t.Error(err)
		}
	}
}

// TestManifestCacheIsBounded: many large manifests are read, and few kept.
func TestManifestCacheIsBounded(t *testing.T) {
	r := contentOf(openStore(t))
	for i := range 40 {
		pad := bytes.Repeat([]byte{byte('a' + i%26)}, 900<<10)
		d := registrytest.PushImage(t, r, repo, string(rune('a'+i)), nil, func(m *ocispec.Manifest) {
			m.Annotations = map[string]string{"pad": string(pad)}
		}).Digest
		if _, _, err := r.Manifest(t.Context(), repo, d); err != nil {
			t.Fatal(err)
		}
	}
	if kept := r.CachedBytes(); kept < 4<<20 || kept > 20<<20 {
		t.Errorf("%d bytes kept", kept)
	}
}

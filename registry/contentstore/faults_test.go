package contentstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// dying fails every write from the n-th on: a process killed there. It hides
// that the store can copy.
type dying struct {
	store.Store
	store.Pointers
	left  int
	wrote []string
}

var errDead = errors.New("killed")

func (d *dying) write(key string) error {
	if d.left--; d.left < 0 {
		return errDead
	}
	d.wrote = append(d.wrote, key)
	return nil
}

type dyingStore struct{ *dying }

func (d dyingStore) Put(ctx context.Context, key string, r io.Reader) error {
	if err := d.write(key); err != nil {
		return err
	}
	return d.dying.Store.Put(ctx, key, r)
}

func (d dyingStore) Delete(ctx context.Context, key string) error {
	if err := d.write("-" + key); err != nil {
		return err
	}
	return d.dying.Store.Delete(ctx, key)
}

type dyingPointers struct{ *dying }

func (d dyingPointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if err := d.write(old.Name); err != nil {
		return store.Pointer{}, err
	}
	return d.dying.Pointers.Swap(ctx, old, next)
}

func (d dyingPointers) Delete(ctx context.Context, old store.Pointer) error {
	if err := d.write("-" + old.Name); err != nil {
		return err
	}
	return d.dying.Pointers.Delete(ctx, old)
}

func (d dyingStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return d.dying.Store.List(ctx, prefix, after)
}

func (d dyingPointers) List(ctx context.Context, prefix, after string) iter.Seq2[store.Pointer, error] {
	return d.dying.Pointers.List(ctx, prefix, after)
}

func dyingAfter(s *filestore.Store, n int) (*dying, *contentstore.Registry) {
	d := &dying{Store: s, Pointers: s.Pointers(), left: n}
	return d, contentstore.New(dyingStore{d}, dyingPointers{d}, contentstore.Options{})
}

const version = "1.0-20260102T000000Z-00000000000b"

// push does a whole push, one blob in chunks, and returns its manifest's digest.
func push(ctx context.Context, r registry.Registry) (digest.Digest, error) {
	config, layer := []byte(`{}`), []byte("a layer in chunks")
	if err := r.PushBlob(ctx, repo, ocispec.Descriptor{Digest: digest.FromBytes(config), Size: 2}, bytes.NewReader(config)); err != nil {
		return "", err
	}
	u, err := r.StartUpload(ctx, repo)
	if err != nil {
		return "", err
	}
	for _, part := range [][]byte{layer[:5], layer[5:]} {
		if err := u.Append(ctx, u.Size(), bytes.NewReader(part)); err != nil {
			return "", err
		}
	}
	if _, err := u.Commit(ctx, digest.FromBytes(layer)); err != nil {
		return "", err
	}
	d, content := pushedManifest(config, layer)
	_, err = r.PushManifest(ctx, repo, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: content, Tags: []string{version}})
	return d, err
}

func pushedManifest(config, layer []byte) (digest.Digest, []byte) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config:      ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(config), Size: int64(len(config))},
		Layers:      []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(layer), Size: int64(len(layer))}},
		Subject:     &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("subject"), Size: 7},
		Annotations: map[string]string{ocispec.AnnotationBaseImageDigest: string(digest.FromString("base"))},
	}
	content := mustJSON(m)
	return digest.FromBytes(content), content
}

// TestKilledPush stops a push before each of its writes: a version is whole or
// not there, and pushing again ends well.
func TestKilledPush(t *testing.T) {
	for n := 0; ; n++ {
		s := openStore(t)
		_, dead := dyingAfter(s, n)
		_, err := push(t.Context(), dead)
		if err != nil && !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		r := contentOf(s)
		if _, tagErr := r.Tag(t.Context(), repo, version); (tagErr == nil) != (len(versions(t, r, repo, "")) == 1) {
			t.Errorf("after %d writes: tag %v, versions %v", n, tagErr, versions(t, r, repo, ""))
		}
		wantSound(t, r)
		d, again := push(t.Context(), r)
		if again != nil {
			t.Fatalf("after %d writes: pushing again: %v", n, again)
		}
		if got := versions(t, r, repo, ""); len(got) != 1 || got[0].Digest != d {
			t.Errorf("after %d writes and again: versions %v", n, got)
		}
		wantSound(t, r)
		if err == nil {
			if n < 10 {
				t.Errorf("only %d writes in a push", n)
			}
			return
		}
	}
}

func wantSound(t *testing.T, r *contentstore.Registry) {
	t.Helper()
	out, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Settle: time.Nanosecond})
	if err != nil || out.Broken() {
		t.Errorf("scrub: %v, %v", out.Problems, err)
	}
}

// TestWriteOrder: what commits comes last.
func TestWriteOrder(t *testing.T) {
	d, r := dyingAfter(openStore(t), 1000)
	if _, err := push(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	last := d.wrote[len(d.wrote)-6:]
	for i, want := range []string{"blobs/", "images/acme~shop/manifests/", "images/acme~shop/referrers/", "images/acme~shop/versions/", "descendants/", "images/acme~shop/tags/"} {
		if !strings.HasPrefix(last[i], want) {
			t.Errorf("write %d is %s, want %s…", i, last[i], want)
		}
	}
}

// TestKilledDelete stops a deletion before each of its writes.
func TestKilledDelete(t *testing.T) {
	for n := 0; ; n++ {
		s := openStore(t)
		r := contentOf(s)
		subject := registrytest.PushImage(t, r, repo, "x", []string{"latest", "one"})
		registrytest.PushImage(t, r, repo, "y", nil, func(m *ocispec.Manifest) { m.Subject = &subject })
		_, dead := dyingAfter(s, n)
		err := dead.DeleteManifest(t.Context(), repo, subject.Digest)
		if err != nil && !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		for tag, err := range r.Tags(t.Context(), repo, "") {
			if registry.ErrorCode(err) == registry.CodeNameUnknown {
				break
			}
			if _, err := r.Tag(t.Context(), repo, tag); err != nil {
				t.Errorf("after %d writes: tag %s lists, but %v", n, tag, err)
			}
		}
		wantSound(t, r)
		if err == nil {
			return
		}
	}
}

// damage changes one byte of a blob's file.
func damage(t *testing.T, s *filestore.Store, d digest.Digest) {
	t.Helper()
	path := filepath.Join(s.Dir(), filepath.FromSlash(store.BlobKey(d)))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDamage: bytes that do not match their digest are never served as if they
// did (zot #4427), and scrub finds them.
func TestDamage(t *testing.T) {
	s := openStore(t)
	r := contentOf(s)
	image := registrytest.PushImage(t, r, repo, "layer", []string{version})
	wantSound(t, r)
	layer := digest.FromString("layer")
	damage(t, s, layer)
	damage(t, s, image.Digest)
	if _, _, err := r.Manifest(t.Context(), repo, image.Digest); registry.ErrorCode(err) != registry.CodeCorrupt {
		t.Errorf("manifest: got %v, want %s", err, registry.CodeCorrupt)
	}
	rc, err := r.OpenBlob(t.Context(), repo, layer, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.Copy(io.Discard, rc); registry.ErrorCode(err) != registry.CodeCorrupt {
		t.Errorf("blob: got %v, want %s", err, registry.CodeCorrupt)
	}
	wantProblems(t, r, layer, image.Digest)
}

func TestLostBytes(t *testing.T) {
	s := openStore(t)
	r := contentOf(s)
	image := registrytest.PushImage(t, r, repo, "layer", []string{version})
	layer := digest.FromString("layer")
	if err := s.Delete(t.Context(), store.BlobKey(layer)); err != nil {
		t.Fatal(err)
	}
	wantProblems(t, r, layer)
	registrytest.PushBlob(t, r, repo, "", "layer") // whoever has the bytes can heal it
	wantSound(t, r)
	if err := s.Delete(t.Context(), store.BlobKey(image.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Manifest(t.Context(), repo, image.Digest); registry.ErrorCode(err) != registry.CodeCorrupt {
		t.Errorf("manifest: got %v, want %s", err, registry.CodeCorrupt)
	}
	wantProblems(t, r, image.Digest)
}

func wantProblems(t *testing.T, r *contentstore.Registry, want ...digest.Digest) {
	t.Helper()
	out, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Settle: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	problems := out.Problems
	found := map[digest.Digest]bool{}
	for _, p := range problems {
		found[p.Digest] = true
		if p.Err == nil {
			t.Errorf("problem without an error: %+v", p)
		}
	}
	for _, d := range want {
		if !found[d] {
			t.Errorf("scrub does not report %s: %v", d, problems)
		}
	}
	if len(found) != len(want) {
		t.Errorf("scrub reports %v, want %v", problems, want)
	}
}

type readOnlyStore struct{ store.Store }

func (readOnlyStore) Put(context.Context, string, io.Reader) error { return store.ErrReadOnly }

package contentstore_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// TestUploadRestart goes on with an upload in another process, so to say.
func TestUploadRestart(t *testing.T) {
	dir := t.TempDir()
	reopen := func() *contentstore.Registry {
		s, err := filestore.Open(t.Context(), dir, filestore.Options{Create: true})
		if err != nil {
			t.Fatal(err)
		}
		return contentOf(s)
	}
	u, err := reopen().StartUpload(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"one ", "two ", "three"} {
		if u, err = reopen().ResumeUpload(t.Context(), repo, u.ID()); err != nil {
			t.Fatal(err)
		}
		if err := u.Append(t.Context(), u.Size(), strings.NewReader(part)); err != nil {
			t.Fatal(err)
		}
	}
	if u, err = reopen().ResumeUpload(t.Context(), repo, u.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(t.Context(), digest.FromString("one two three")); err != nil {
		t.Fatal(err)
	}
	if left := uploadKeys(t, dir); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func uploadKeys(t *testing.T, dir string) []string {
	t.Helper()
	s, err := filestore.Open(t.Context(), dir, filestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for info, err := range s.List(t.Context(), store.UploadsPrefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	for ptr, err := range s.Pointers().List(t.Context(), store.UploadsPrefix, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, ptr.Name)
	}
	return keys
}

// TestRacingChunks: of chunks for one offset at once, one is added.
func TestRacingChunks(t *testing.T) {
	s := openStore(t)
	u, err := contentOf(s).StartUpload(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		mine, err := contentOf(s).ResumeUpload(t.Context(), repo, u.ID())
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			err := mine.Append(t.Context(), 0, strings.NewReader("chunk"))
			if err == nil {
				won.Add(1)
			} else if registry.ErrorCode(err) != registry.CodeRangeInvalid {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d chunks added", won.Load())
	}
	if u, err = contentOf(s).ResumeUpload(t.Context(), repo, u.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(t.Context(), digest.FromString("chunk")); err != nil {
		t.Fatal(err)
	}
	if left := uploadKeys(t, s.Dir()); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func TestUploadExpires(t *testing.T) {
	s := openStore(t)
	now := time.Now()
	r := contentstore.New(s, s.Pointers(), contentstore.Options{Now: func() time.Time { return now }, UploadLifetime: time.Hour})
	begin := func() registry.Upload {
		u, err := r.StartUpload(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Append(t.Context(), 0, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
		return u
	}
	old := begin()
	olds := uploadKeys(t, s.Dir())
	now = now.Add(50 * time.Minute)
	young := begin()
	if gone, err := r.PruneUploads(t.Context()); err != nil || gone != 0 {
		t.Errorf("pruned %d, %v", gone, err)
	}
	count := func(limit, want int) {
		t.Helper()
		if n, err := r.CountUploads(t.Context(), limit); err != nil || n != want {
			t.Errorf("%d uploads, %v, want %d", n, err, want)
		}
	}
	count(10, 2)
	count(1, 1)
	now = now.Add(20 * time.Minute)
	count(10, 1)
	if _, err := r.ResumeUpload(t.Context(), repo, old.ID()); !errors.Is(err, registry.CodeUploadUnknown) {
		t.Errorf("expired upload: %v", err)
	}
	if gone, err := r.PruneUploads(t.Context()); err != nil || gone != 1 {
		t.Errorf("pruned %d, %v", gone, err)
	}
	if err := old.Append(t.Context(), 1, strings.NewReader("y")); !errors.Is(err, registry.CodeUploadUnknown) {
		t.Errorf("a chunk for an upload that was pruned meanwhile: %v", err)
	}
	if left := uploadKeys(t, s.Dir()); len(left) != 2 || len(olds) != 2 || slices.Contains(left, olds[0]) || slices.Contains(left, olds[1]) {
		t.Errorf("left %q, want those of the young, not %q", left, olds)
	}
	if _, err := young.Commit(t.Context(), digest.FromString("x")); err != nil {
		t.Error(err)
	}
}

// TestRecordsStay: a record of the ledger outlives its subject.
func TestRecordsStay(t *testing.T) {
	r := contentOf(openStore(t))
	subject := registrytest.PushImage(t, r, repo, "x", nil)
	record := registrytest.PushImage(t, r, repo, "record", nil, func(m *ocispec.Manifest) {
		m.ArtifactType, m.Subject = "application/vnd.kiln.promotion.v1+json", &subject
	})
	if err := r.DeleteManifest(t.Context(), repo, record.Digest); !errors.Is(err, registry.CodeDenied) {
		t.Errorf("delete of a record: %v", err)
	}
	if err := r.DeleteManifest(t.Context(), repo, subject.Digest); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Manifest(t.Context(), repo, record.Digest); err != nil {
		t.Error(err)
	}
}

// TestNestedIndexes walks indexes that share their children over and over (zot #4318).
func TestNestedIndexes(t *testing.T) {
	r := contentOf(openStore(t))
	child := registrytest.PushImage(t, r, repo, "x", nil)
	for i := range 40 {
		ix := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{child, child}}
		ix.SchemaVersion = 2
		var tags []string
		if i == 39 {
			tags = []string{version}
		}
		child = registrytest.PushJSON(t, r, repo, ix.MediaType, ix, tags...)
	}
	done := make(chan error, 1)
	other := registrytest.PushBlob(t, r, repo, "", "other").Digest
	go func() { done <- r.DeleteBlob(t.Context(), repo, other) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("walking takes forever")
	}
	wantSound(t, r)
}

// TestReadOnlyStore: the wire has a code for it, and the cause stays.
func TestReadOnlyStore(t *testing.T) {
	r := contentstore.New(readOnlyStore{openStore(t)}, openStore(t).Pointers(), contentstore.Options{})
	err := r.PushBlob(t.Context(), repo, ocispec.Descriptor{Digest: digest.FromString("x"), Size: 1}, strings.NewReader("x"))
	if !errors.Is(err, registry.CodeUnsupported) || !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("got %v", err)
	}
}

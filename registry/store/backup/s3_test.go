//go:build full

package backup_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/backup"
	"kiln/registry/store/s3store"
	"kiln/registry/store/s3store/s3test"

	"github.com/opencontainers/go-digest"
)

func openBucket(t *testing.T, location string, o s3store.Options) (*s3store.Store, backup.Place) {
	t.Helper()
	parsed, err := s3store.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Create, parsed.Bare = o.Create, o.Bare
	s, err := s3store.Open(t.Context(), parsed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, backup.Place{Objects: s, Pointers: s.Pointers()}
}

// TestBuckets: a folder's store goes to a bucket and back, and a bucket's to a
// tar and into a bucket; a scrub works there as well.
func TestBuckets(t *testing.T) {
	server := s3test.Start(t)
	w := newWorld(t, create)
	w.fill(t)
	_, mirrored := openBucket(t, server.Location(server.Bucket()), s3store.Options{Bare: true})
	for range 2 {
		if _, err := backup.Mirror(t.Context(), w.place, mirrored); err != nil {
			t.Fatal(err)
		}
	}
	back := newWorld(t, bare)
	if _, err := backup.Restore(t.Context(), mirrored, back.place); err != nil {
		t.Fatal(err)
	}
	wantSame(t, back.all(t), w.all(t))

	at := server.Location(server.Bucket())
	s, place := openBucket(t, at, s3store.Options{Bare: true})
	if _, err := backup.Restore(t.Context(), mirrored, place); err != nil {
		t.Fatal(err)
	}
	s, place = openBucket(t, at, s3store.Options{})
	if s.ID() != w.ID() {
		t.Errorf("restored with id %s, was %s", s.ID(), w.ID())
	}
	var out bytes.Buffer
	if _, err := backup.Write(t.Context(), place, &out); err != nil {
		t.Fatal(err)
	}
	fromTar := newWorld(t, bare)
	if _, err := backup.Read(t.Context(), &out, fromTar.place); err != nil {
		t.Fatal(err)
	}
	wantSame(t, fromTar.all(t), w.all(t))
	scrubBucket(t, s)
}

// scrubBucket damages a blob and loses a link in a bucket.
func scrubBucket(t *testing.T, s *s3store.Store) {
	t.Helper()
	r := contentstore.New(s, s.Pointers(), contentstore.Options{})
	registrytest.PushImage(t, r, repo, "in a bucket", []string{"2.0-20260102T000000Z-00000000000b"})
	layer, config := digest.FromString("in a bucket"), digest.FromString("{}")
	if err := errors.Join(s.Delete(t.Context(), store.BlobKey(layer)), s.Put(t.Context(), store.BlobKey(layer), bytes.NewReader([]byte("In a bucket"))),
		s.Delete(t.Context(), store.BlobLinkKey(repo, config))); err != nil {
		t.Fatal(err)
	}
	scrub := func() contentstore.Scrubbed {
		t.Helper()
		out, err := r.Scrub(t.Context(), contentstore.ScrubOptions{Repair: true, Settle: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if out := scrub(); !out.Broken() || len(out.Problems) < 2 {
		t.Errorf("found %v", out.Problems)
	}
	if _, err := r.StatBlob(t.Context(), repo, layer); !errors.Is(err, registry.CodeBlobUnknown) {
		t.Errorf("the damaged blob is served: %v", err)
	}
	registrytest.PushBlob(t, r, repo, "", "in a bucket")
	if out := scrub(); len(out.Problems) > 0 {
		t.Errorf("healed, found %v", out.Problems)
	}
}

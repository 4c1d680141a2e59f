package backup_test

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"sync"
	"testing"

	"kiln/registry/registrytest"
	"kiln/registry/store"
	"kiln/registry/store/backup"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// movingStore has others at work while it is read: listed, if not nil, is
// called once when the first key that contains at is listed, looked once at
// the first Stat.
type movingStore struct {
	store.Store
	at             string
	listed, looked func()
	once           *sync.Once
}

func (s movingStore) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range s.Store.List(ctx, prefix, after) {
			if s.listed != nil && strings.Contains(info.Key, s.at) {
				s.once.Do(s.listed)
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (s movingStore) Stat(ctx context.Context, key string) (store.Info, error) {
	if s.looked != nil {
		s.once.Do(s.looked)
	}
	return s.Store.Stat(ctx, key)
}

// bothWays backs up through a tar, or into a place, and restores.
func bothWays(t *testing.T, do func(t *testing.T, restored func(from backup.Place) *world)) {
	t.Run("tar", func(t *testing.T) {
		do(t, func(from backup.Place) *world {
			var out bytes.Buffer
			if _, err := backup.Write(t.Context(), from, &out); err != nil {
				t.Fatal(err)
			}
			to := newWorld(t, bare)
			if _, err := backup.Read(t.Context(), &out, to.place); err != nil {
				t.Fatal(err)
			}
			return to
		})
	})
	t.Run("place", func(t *testing.T) {
		do(t, func(from backup.Place) *world {
			at, to := newWorld(t, bare), newWorld(t, bare)
			if _, err := backup.Mirror(t.Context(), from, at.place); err != nil {
				t.Fatal(err)
			}
			if _, err := backup.Restore(t.Context(), at.place, to.place); err != nil {
				t.Fatal(err)
			}
			return to
		})
	})
}

// TestReferrerMeanwhile: a referrer that is pushed while links are read is
// whole in the backup, or not in it.
func TestReferrerMeanwhile(t *testing.T) {
	bothWays(t, func(t *testing.T, restored func(backup.Place) *world) {
		w := newWorld(t, create)
		subject := registrytest.PushImage(t, w.reg, repo, "subject", []string{"latest"})
		signed := func(m *ocispec.Manifest) { m.Subject = &subject }
		registrytest.PushImage(t, w.reg, repo, "first", nil, signed)
		from := w.place
		from.Objects = movingStore{Store: w.place.Objects, at: "/manifests/", once: new(sync.Once), listed: func() {
			registrytest.PushImage(t, w.reg, repo, "second", nil, signed)
		}}
		wantSound(t, restored(from))
	})
}

// TestLinkOfLaterRound: a link that meant nothing when tags moved and the
// backup began again is not left out once it does.
func TestLinkOfLaterRound(t *testing.T) {
	bothWays(t, func(t *testing.T, restored func(backup.Place) *world) {
		w := newWorld(t, create)
		first := registrytest.PushImage(t, w.reg, repo, "first", []string{"latest"})
		layer := digest.FromString("second") // a push that was killed left its link
		if err := w.Put(t.Context(), store.BlobLinkKey(repo, layer), strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
		from := w.place
		from.Objects = movingStore{Store: w.place.Objects, once: new(sync.Once), looked: func() {
			registrytest.PushImage(t, w.reg, repo, "second", []string{"latest"})
			if err := w.reg.DeleteManifest(t.Context(), repo, first.Digest); err != nil {
				t.Error(err)
			}
		}}
		to := restored(from)
		wantSound(t, to)
		if _, err := to.reg.StatBlob(t.Context(), repo, layer); err != nil {
			t.Error(err)
		}
	})
}

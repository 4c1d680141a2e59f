package contentstore

import (
	"context"
	"errors"
	"sync/atomic"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// Bounds of FindBlob: images that are looked into, in all and at once.
const (
	maxFindImages = 256
	findJobs      = 16
)

// FindBlob names an image that has blob d and of which readable says that its
// asker may read it; it is asked from several goroutines. FindBlob looks into
// no more than 256 images, so that a mount costs less than the upload that it
// saves. CodeBlobUnknown if it finds none.
func (r *Registry) FindBlob(ctx context.Context, d digest.Digest, readable func(image string) bool) (string, error) {
	if err := registry.CheckDigest(d); err != nil {
		return "", err
	}
	unknown := registry.Errorf(registry.CodeBlobUnknown, "no image that you may read has blob %s", d)
	switch ok, err := r.exists(ctx, store.BlobKey(d)); {
	case err != nil:
		return "", err
	case !ok:
		return "", unknown
	}
	images, err := r.someImages(ctx, maxFindImages)
	if err != nil {
		return "", err
	}
	var found atomic.Pointer[string]
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(findJobs)
	for _, image := range images {
		g.Go(func() error {
			linked, err := r.exists(gctx, store.BlobLinkKey(image, d))
			if err != nil || !linked || !readable(image) {
				return err
			}
			found.Store(&image)
			return errFound
		})
	}
	err = g.Wait()
	switch image := found.Load(); {
	case image != nil:
		return *image, nil
	case err != nil:
		return "", err
	}
	return "", unknown
}

// errFound ends the search of FindBlob.
var errFound = errors.New("found")

func (r *Registry) someImages(ctx context.Context, n int) ([]string, error) {
	var names []string
	for name, err := range r.images(ctx) {
		if err != nil {
			return nil, err
		}
		if names = append(names, name); len(names) == n {
			break
		}
	}
	return names, nil
}

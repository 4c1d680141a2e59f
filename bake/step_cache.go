package bake

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"kiln/layers"
)

// cacheEntry is layers/<key>.json: what a step made.
type cacheEntry struct {
	Empty bool         `json:"empty,omitempty"`
	Layer *layers.Meta `json:"layer,omitempty"`
}

// cached finds a step's layer by its key, or makes it: entries lists the
// layer's content, working below a folder that is removed afterwards.
func (b *Builder) cached(ctx context.Context, name, k string, entries func(dir string) ([]layers.Entry, error)) (StepResult, error) {
	if res, ok := b.lookup(name, k); ok {
		return res, nil
	}
	if b.planning {
		return StepResult{Step: name}, errMiss
	}
	dir, done, err := b.cache.tempDir("step")
	if err != nil {
		return StepResult{}, err
	}
	defer done()
	list, err := entries(dir)
	if err != nil {
		return StepResult{}, err
	}
	return b.keep(ctx, name, k, dir, list)
}

// errMiss ends a plan's look at a step that would be built.
var errMiss = errors.New("not cached")

// lookup finds a step in the cache. A layer file that is missing or has
// another size than noted is as good as absent.
func (b *Builder) lookup(name, k string) (StepResult, bool) {
	var e cacheEntry
	if !b.cache.load(&e, "layers", k+".json") {
		return StepResult{}, false
	}
	if e.Empty {
		return StepResult{Step: name, Cached: true}, true
	}
	if e.Layer == nil {
		return StepResult{}, false
	}
	layer, err := layers.Open(b.blobPath(e.Layer.Desc.Digest), *e.Layer)
	if err != nil {
		return StepResult{}, false
	}
	b.cache.use(cachedLayer{layer})
	return b.result(name, layer, true), true
}

// keep writes entries as a layer and notes it under the step's key.
func (b *Builder) keep(ctx context.Context, name, k, dir string, list []layers.Entry) (StepResult, error) {
	if len(list) == 0 {
		return StepResult{Step: name}, b.cache.save(cacheEntry{Empty: true}, "layers", k+".json")
	}
	made, ix, err := layers.Build(ctx, filepath.Join(dir, "layer"), b.Compression, list)
	if err != nil {
		return StepResult{}, fmt.Errorf("write layer: %w", err)
	}
	if err := b.cache.adopt(made.Path, "blobs", made.Desc.Digest.Hex); err != nil {
		return StepResult{}, err
	}
	made.Path = b.blobPath(made.Desc.Digest)
	if err := b.cache.save(ix, "index", made.Diff.Hex); err != nil {
		return StepResult{}, err
	}
	return b.result(name, made, false), b.cache.save(cacheEntry{Layer: &made.Meta}, "layers", k+".json")
}

func (b *Builder) blobPath(h v1.Hash) string { return b.cache.path("blobs", h.Hex) }

func (b *Builder) result(name string, l *layers.Layer, cached bool) StepResult {
	return StepResult{Step: name, Digest: digest.Digest(l.Desc.Digest.String()), Cached: cached, layer: l}
}

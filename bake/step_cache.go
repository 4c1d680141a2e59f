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
func (b *Builder) cached(ctx context.Context, st *state, kind StepKind, name, k string, entries func(dir string) ([]layers.Entry, error)) (StepResult, error) {
	res := StepResult{Step: name, Kind: kind, key: k}
	parts := st.made
	st.made = nil
	if found, ok := b.lookup(res); ok {
		return found, nil
	}
	if found, ok := b.recall(ctx, st, res); ok {
		return found, nil
	}
	var now made
	if parts != nil {
		now = parts().of(st)
		now.Values["compression"] = printOf(b.encoder(st))
	}
	if b.planning {
		return res, &missError{b.why(st, name, now).reason}
	}
	why := make(chan explanation, 1) // who is told can wait until the layer is made
	go func() { why <- b.why(st, name, now) }()
	end, err := b.making.wait(ctx, k)
	if err != nil {
		return StepResult{}, err
	}
	defer end()
	if found, ok := b.lookup(res); ok {
		return found, nil // another image's step made it meanwhile
	}
	b.readyScanner()
	dir, done, err := b.cache.tempDir("step")
	if err != nil {
		return StepResult{}, err
	}
	defer done()
	list, err := entries(dir)
	if err != nil {
		return StepResult{}, err
	}
	made, err := b.keep(ctx, st, res, dir, list)
	if err == nil {
		e := <-why
		made.Reason = e.reason
		b.noteMade(st, name, e)
	}
	return made, err
}

// readyScanner has a scanner that takes long to begin do so while the first
// layer is made.
func (b *Builder) readyScanner() {
	if s, ok := b.Scanner.(interface{ Ready() }); ok {
		b.readied.Do(func() { go s.Ready() })
	}
}

// errMiss ends a plan's look at a step that would be built.
var errMiss = errors.New("not cached")

// lookup finds a step in the cache. A layer file that is missing or has
// another size than noted is as good as absent.
func (b *Builder) lookup(res StepResult) (StepResult, bool) {
	var e cacheEntry
	if !b.cache.load(&e, "layers", res.key+".json") {
		return res, false
	}
	if e.Empty {
		res.Cached, res.Reason = true, foundHere
		return res, true
	}
	if e.Layer == nil || !b.cache.claim("blobs", e.Layer.Desc.Digest.Hex) {
		return res, false
	}
	layer, err := layers.Open(b.blobPath(e.Layer.Desc.Digest), *e.Layer)
	if err != nil {
		return res, false
	}
	b.cache.use(cachedLayer{layer})
	res.Cached, res.Reason = true, foundHere
	return res.with(cachedLayer{layer}), true
}

// keep writes entries as a layer and notes it under the step's key.
func (b *Builder) keep(ctx context.Context, st *state, res StepResult, dir string, list []layers.Entry) (StepResult, error) {
	if len(list) == 0 {
		return res, b.cache.save(cacheEntry{Empty: true}, "layers", res.key+".json")
	}
	blocks, done := b.stepBlocks(st, res)
	defer done()
	scan := b.scanAlong(ctx, res)
	opts := layers.BuildOptions{Blocks: blocks, Raw: scan.raw(), Fleeting: true}
	made, ix, err := layers.BuildWith(ctx, filepath.Join(dir, "layer"), b.compression(st.recipe), list, opts)
	if s, ok := blocks.(*stepBlocks); ok && errors.Is(err, layers.ErrBeginning) {
		s.forget()
		made, ix, err = layers.BuildWith(ctx, filepath.Join(dir, "layer"), b.compression(st.recipe), list, opts)
	}
	found := scan.end(err)
	if err != nil {
		return StepResult{}, fmt.Errorf("write layer: %w", err)
	}
	if found != nil {
		if err := b.plainTexts().keep(); err != nil {
			return StepResult{}, err
		}
		if err := b.cache.save(found, "scans", b.scanEntry(made.Diff)); err != nil {
			return StepResult{}, err
		}
	}
	if err := b.cache.adopt(made.Path, "blobs", made.Desc.Digest.Hex); err != nil {
		return StepResult{}, err
	}
	made.Path = b.blobPath(made.Desc.Digest)
	if err := b.keepBlocks(blocks, made.Desc.Digest); err != nil {
		return StepResult{}, err
	}
	if err := b.noteIndex(made.Diff, ix); err != nil {
		return StepResult{}, err
	}
	return res.with(cachedLayer{made}), b.cache.save(cacheEntry{Layer: &made.Meta}, "layers", res.key+".json")
}

func (b *Builder) blobPath(h v1.Hash) string { return b.cache.path("blobs", h.Hex) }

// foundHere is why a step was found in the cache of this machine.
const foundHere = "the same inputs were built before"

// with is the result with the layer that the step made.
func (s StepResult) with(l cachedLayer) StepResult {
	s.Digest, s.layer = digest.Digest(l.Desc.Digest.String()), l
	return s
}

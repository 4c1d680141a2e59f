package imagecopy

import (
	"context"
	"fmt"
	"sync"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Bounds of what one image may be: a hostile index shares and nests.
const (
	maxDepth     = 16        // indexes in each other
	maxManifests = 10_000    // in a tree
	maxBytes     = 128 << 20 // of the manifests of a tree, whose parts stay in memory
	maxKept      = 32 << 20  // bytes of manifests in memory; the others are read again
)

// node is a manifest to be copied.
type node struct {
	desc    ocispec.Descriptor
	content []byte // nil if it has to be read again
	parts   registry.Parts
}

// tree is manifests with all that is below them, each once, however often it
// is named.
type tree struct {
	nodes map[digest.Digest]*node
	kept  int
	bytes int
}

// tree reads manifests and what is below them, level by level. What is copied
// already is left out, and, of roots that may be gone, what is.
func (c *copier) tree(ctx context.Context, roots []digest.Digest, mayBeGone bool) (*tree, error) {
	t := &tree{nodes: map[digest.Digest]*node{}}
	level := c.fresh(t, roots)
	for depth := 0; len(level) > 0; depth++ {
		switch {
		case depth > maxDepth:
			return nil, registry.Errorf(registry.CodeManifestInvalid, "index %s: nested deeper than %d", roots[0], maxDepth)
		case len(t.nodes)+len(level) > maxManifests:
			return nil, registry.Errorf(registry.CodeManifestInvalid, "index %s: more than %d manifests", roots[0], maxManifests)
		}
		read, err := c.readAll(ctx, t, level, mayBeGone && depth == 0)
		if err != nil {
			return nil, err
		}
		var below []digest.Digest
		for _, n := range read {
			for _, child := range n.parts.Manifests {
				below = append(below, child.Digest)
			}
		}
		level = c.fresh(t, below)
	}
	return t, nil
}

// fresh leaves out what is in the tree, what is copied, and what comes twice.
func (c *copier) fresh(t *tree, digests []digest.Digest) []digest.Digest {
	var list []digest.Digest
	seen := map[digest.Digest]bool{}
	for _, d := range digests {
		if t.nodes[d] == nil && !c.copied[d] && !seen[d] {
			seen[d] = true
			list = append(list, d)
		}
	}
	return list
}

// add takes a manifest that was read; too many bytes of them are refused.
func (t *tree) add(n *node) error {
	if t.bytes += len(n.content); t.bytes > maxBytes {
		return registry.Errorf(registry.CodeManifestInvalid, "the manifests of the image have more than %d bytes", maxBytes)
	}
	if t.kept += len(n.content); t.kept > maxKept {
		t.kept -= len(n.content)
		n.content = nil
	}
	t.nodes[n.desc.Digest] = n
	return nil
}

// readAll reads manifests into t, and returns those.
func (c *copier) readAll(ctx context.Context, t *tree, digests []digest.Digest, mayBeGone bool) ([]*node, error) {
	var mu sync.Mutex
	var list []*node
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for _, d := range digests {
		g.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			desc, content, err := c.src.Manifest(ctx, c.from, d)
			if mayBeGone && absent(err) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("manifest %s: %w", d, err)
			}
			parts, err := registry.ParseManifest(desc.MediaType, content)
			if err != nil {
				return fmt.Errorf("manifest %s: %w", d, err)
			}
			desc.MediaType = parts.MediaType
			mu.Lock()
			defer mu.Unlock()
			n := &node{desc, content, parts}
			list = append(list, n)
			return t.add(n)
		})
	}
	return list, g.Wait()
}

// waves orders the manifests so that each comes behind what it names.
func (t *tree) waves() [][]*node {
	heights := map[digest.Digest]int{}
	var waves [][]*node
	for d, n := range t.nodes {
		h := t.height(d, heights)
		for len(waves) < h {
			waves = append(waves, nil)
		}
		waves[h-1] = append(waves[h-1], n)
	}
	return waves
}

func (t *tree) height(d digest.Digest, known map[digest.Digest]int) int {
	n := t.nodes[d]
	if n == nil {
		return 0 // copied already
	}
	if h, ok := known[d]; ok {
		return h
	}
	h := 0
	for _, child := range n.parts.Manifests {
		h = max(h, t.height(child.Digest, known))
	}
	known[d] = h + 1
	return h + 1
}

// size is what the tree holds, in bytes.
func (t *tree) size() int64 {
	seen := map[digest.Digest]bool{}
	var sum int64
	for _, n := range t.nodes {
		sum += n.desc.Size
		for _, b := range n.parts.Blobs {
			if !seen[b.Digest] && !registry.IsForeign(b) {
				seen[b.Digest] = true
				sum += b.Size
			}
		}
	}
	return sum
}

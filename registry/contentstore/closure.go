package contentstore

import (
	"context"
	"errors"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// closure is a manifest with all that it names at any depth.
type closure struct {
	blobs     map[digest.Digest]bool // foreign ones are left out
	manifests map[digest.Digest]bool // without the manifest itself
	parents   map[digest.Digest]bool // what it was baked on, in whichever image that is
}

// closureOf reads the manifests that m names. Each is read once, however often
// indexes share it. One that is not there is listed all the same.
func (r *Registry) closureOf(ctx context.Context, repo string, m manifest) (closure, error) {
	c := closure{map[digest.Digest]bool{}, map[digest.Digest]bool{}, map[digest.Digest]bool{}}
	for todo := []manifest{m}; len(todo) > 0; {
		m, todo = todo[0], todo[1:]
		if base := digest.Digest(m.annotations[ocispec.AnnotationBaseImageDigest]); registry.CheckDigest(base) == nil {
			c.parents[base] = true
		}
		for _, b := range m.blobs {
			if !foreign(b) {
				c.blobs[b.Digest] = true
			}
		}
		for _, child := range m.manifests {
			if foreign(child) || c.manifests[child.Digest] {
				continue
			}
			c.manifests[child.Digest] = true
			read, err := r.readManifest(ctx, repo, child.Digest)
			if errors.Is(err, registry.CodeManifestUnknown) {
				continue // whole says so
			}
			if err != nil {
				return closure{}, err
			}
			todo = append(todo, read)
		}
	}
	return c, nil
}

// rescueAll rescues the closure of a manifest, and the manifest.
func (r *Registry) rescueAll(ctx context.Context, repo string, d digest.Digest, c closure) error {
	own := []digest.Digest{}
	for b := range c.blobs {
		own = append(own, b)
	}
	for m := range c.manifests {
		if !c.blobs[m] {
			own = append(own, m)
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.rescue(ctx, everywhere, d) })
	g.Go(func() error { return r.rescue(ctx, repo, own...) })
	for p := range c.parents {
		g.Go(func() error { return r.rescue(ctx, everywhere, p) })
	}
	return g.Wait()
}

// whole looks for links and bytes of a closure. CodeManifestBlobUnknown for
// what is missing.
func (r *Registry) whole(ctx context.Context, repo string, c closure) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	look := func(d digest.Digest, link string) {
		g.Go(func() error {
			there, err := r.existAll(ctx, link, store.BlobKey(d))
			if err == nil && !there {
				err = registry.Errorf(registry.CodeManifestBlobUnknown, "manifest names %s, which image %s does not have", d, repo)
			}
			return err
		})
	}
	for b := range c.blobs {
		look(b, store.BlobLinkKey(repo, b))
	}
	for m := range c.manifests {
		look(m, store.ManifestLinkKey(repo, m))
	}
	return g.Wait()
}

func (r *Registry) existAll(ctx context.Context, keys ...string) (bool, error) {
	for _, key := range keys {
		if there, err := r.exists(ctx, key); !there || err != nil {
			return false, err
		}
	}
	return true, nil
}

// settle returns when no collection can have taken a manifest that is linked,
// or anything that it names, without its being seen here. It tells whether the
// manifest itself is still whole; CodeManifestBlobUnknown if what it names is
// gone.
func (r *Registry) settle(ctx context.Context, repo string, l link, m manifest) (bool, error) {
	c, err := r.closureOf(ctx, repo, m)
	if err != nil {
		return false, err
	}
	if err := r.rescueAll(ctx, repo, l.Digest, c); err != nil {
		return false, err
	}
	if err := r.whole(ctx, repo, c); err != nil {
		return false, err
	}
	if l.Subject != "" { // a collection may have taken the entry alone
		listed, err := r.exists(ctx, store.ReferrersPrefix(repo, l.Subject)+string(l.Digest))
		if err != nil || !listed {
			return false, err
		}
	}
	return r.linked(ctx, repo, l.Digest)
}

// linked tells whether a manifest has link and bytes.
func (r *Registry) linked(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	return r.existAll(ctx, store.ManifestLinkKey(repo, d), store.BlobKey(d))
}

// stays tells whether a manifest that was tagged is there to stay: a deletion
// that began before the tag was seen has ended by now.
func (r *Registry) stays(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	if err := r.rescue(ctx, everywhere, d); err != nil {
		return false, err
	}
	return r.linked(ctx, repo, d)
}

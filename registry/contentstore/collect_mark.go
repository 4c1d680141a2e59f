package contentstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// marker finds what a view reaches. Manifests that it has read it keeps in
// short, about 50 bytes for each digest that they name.
type marker struct {
	r     *Registry
	roots Roots
	grace time.Duration
	now   time.Time
	log   *slog.Logger

	mu   sync.Mutex
	read map[name]*references
}

// place is a digest in an image.
type place struct {
	image *imageView
	name  name
}

// reach is one walk over a view.
type reach struct {
	m    *marker
	v    *view
	why  pass
	todo []place
	// loose are roots without a link: what their bytes name stays all the same.
	loose map[place]bool
	// tolerant: a manifest that has no bytes keeps nothing, and is no error.
	tolerant bool
	attached map[name][]place // by subject, what cosign's tags name
	everyone map[name]bool    // manifests that were reached in every image
	unlisted map[place]bool   // wanted, and without a link in the listing
}

func (m *marker) newReach(v *view, why pass) *reach {
	return &reach{
		m: m, v: v, why: why, loose: map[place]bool{}, attached: map[name][]place{},
		everyone: map[name]bool{}, unlisted: map[place]bool{},
	}
}

// mark finds what the roots reach: tags, what Roots keeps, what is young, what
// a writer has rescued lately.
func (m *marker) mark(ctx context.Context, v *view) error {
	w := m.newReach(v, byRoot)
	for _, img := range v.images {
		w.tags(img)
	}
	if err := m.roots(ctx, w.keep); err != nil {
		return fmt.Errorf("roots: %w", err)
	}
	if err := w.walk(ctx); err != nil {
		return err
	}
	// A push that was killed may leave a link without bytes behind.
	w.tolerant, w.why = true, byAge
	for _, img := range v.images {
		w.recent(img)
	}
	for d, mark := range v.marks {
		if mark.State == rescued && young(mark.At.UnixNano(), m.now, m.grace) {
			w.rescued(nameOf(d))
		}
	}
	return w.walk(ctx)
}

// hold adds what manifests need that are not wanted, and not to go now either.
func (m *marker) hold(ctx context.Context, v *view, goes func(image string, d name) bool) error {
	w := m.newReach(v, byLink)
	w.tolerant = true
	for _, img := range v.images {
		w.tags(img)
		for i := range img.manifests {
			if l := &img.manifests[i]; l.reached == 0 && !goes(img.name, l.name) {
				w.manifest(place{img, l.name})
			}
		}
	}
	return w.walk(ctx)
}

// tags makes roots of an image's tags, but for cosign's, which live and die
// with what they are named after.
func (w *reach) tags(img *imageView) {
	for _, t := range img.tags {
		p := place{img, nameOf(t.digest)}
		if subject, ok := subjectOfTag(t.tag); ok {
			w.attached[nameOf(subject)] = append(w.attached[nameOf(subject)], p)
		} else if w.why == byRoot {
			w.root(p)
		}
	}
}

// subjectOfTag reads a tag of cosign, or of the distribution spec's referrers
// tag schema: sha256-<hex>, with or without a suffix.
func subjectOfTag(tag string) (digest.Digest, bool) {
	alg, rest, ok := strings.Cut(tag, "-")
	if !ok {
		return "", false
	}
	encoded, _, _ := strings.Cut(rest, ".")
	d := digest.Digest(alg + ":" + encoded)
	return d, registry.CheckDigest(d) == nil
}

// recent makes roots of manifests that are young, and keeps young blobs.
func (w *reach) recent(img *imageView) {
	for i := range img.manifests {
		if l := &img.manifests[i]; young(l.changed, w.m.now, w.m.grace) {
			w.manifest(place{img, l.name})
		}
	}
	for i := range img.blobs {
		if l := &img.blobs[i]; l.reached == 0 && young(l.changed, w.m.now, w.m.grace) {
			l.reached = w.why
		}
	}
}

// rescued treats all links of a digest as young.
func (w *reach) rescued(n name) {
	for _, at := range w.v.find(n) {
		if at.manifest {
			w.manifest(place{at.image, n})
		} else if at.link.reached == 0 {
			at.link.reached = w.why
		}
	}
	w.v.held[n] = true
}

// keep is what Roots calls.
func (w *reach) keep(image string, d digest.Digest) {
	if registry.CheckDigest(d) != nil {
		return
	}
	n := nameOf(d)
	if image == "" {
		w.everywhere(n)
	} else if img := w.v.images[image]; img != nil {
		w.root(place{img, n})
	}
}

// root follows a manifest that must be there, and keeps a blob of that digest:
// a record of a ledger is one until it is linked. Where there is no link, its
// bytes say what stays.
func (w *reach) root(p place) {
	if l := p.image.blob(p.name); l != nil && l.reached == 0 {
		l.reached = w.why
	}
	if !w.manifest(p) && !w.loose[p] {
		w.loose[p] = true
		w.v.held[p.name] = true
		w.unlisted[p] = true
		w.todo = append(w.todo, p)
	}
}

// everywhere follows a manifest in every image that has it.
func (w *reach) everywhere(n name) {
	if w.everyone[n] {
		return
	}
	w.everyone[n] = true
	for _, at := range w.v.find(n) {
		if at.manifest {
			w.manifest(place{at.image, n})
		}
	}
}

// manifest tells whether the image has it, and sees to it that it is followed.
func (w *reach) manifest(p place) bool {
	l := p.image.manifest(p.name)
	if l != nil && l.reached == 0 {
		l.reached = w.why
		w.todo = append(w.todo, p)
	}
	return l != nil
}

// walk follows everything that is to be followed, reading many at once.
func (w *reach) walk(ctx context.Context) error {
	for len(w.todo) > 0 {
		batch := w.todo
		w.todo = nil
		refs := make([]*references, len(batch))
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(parallel)
		for i, p := range batch {
			g.Go(func() (err error) {
				refs[i], err = w.refs(gctx, p)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		for i, p := range batch {
			w.follow(p, refs[i])
		}
	}
	return w.checkUnlisted(ctx)
}

// checkUnlisted looks for the links that the listing lacks. One that is there,
// and was before the listing began, tells that the listing left things out.
func (w *reach) checkUnlisted(ctx context.Context) error {
	return each(ctx, slices.Collect(maps.Keys(w.unlisted)), func(ctx context.Context, p place) error {
		d := p.name.digest()
		for _, key := range []string{store.ManifestLinkKey(p.image.name, d), store.BlobLinkKey(p.image.name, d)} {
			switch info, err := w.m.r.store.Stat(ctx, key); {
			case errors.Is(err, store.ErrNotFound):
			case err != nil:
				return err
			case !young(info.ModTime.UnixNano(), w.m.now, w.m.grace) && !p.image.lists(key, p.name):
				return fmt.Errorf("object %s is there, but was not listed", key)
			}
		}
		return nil
	})
}

// lists tells whether the link at key is in the listing.
func (img *imageView) lists(key string, n name) bool {
	if key == store.ManifestLinkKey(img.name, n.digest()) {
		return img.manifest(n) != nil
	}
	return img.blob(n) != nil
}

// refs reads what a manifest names; nil if there is nothing to know.
func (w *reach) refs(ctx context.Context, p place) (*references, error) {
	refs, err := w.m.references(ctx, p.name, w.loose[p])
	switch {
	case err == nil:
		return refs, nil
	case errors.Is(err, store.ErrNotFound) && (w.tolerant || w.loose[p]):
		w.m.log.Warn("nothing is there of what is named", "repo", p.image.name, "digest", p.name.digest())
		return nil, nil
	case errors.Is(err, errNoManifest) && w.loose[p]:
		return nil, nil
	}
	return nil, fmt.Errorf("manifest %s of %s: %w", p.name.digest(), p.image.name, err)
}

// follow keeps what a manifest names, what is attached to it, and its parent.
func (w *reach) follow(p place, refs *references) {
	if refs != nil {
		for _, n := range refs.content {
			w.content(p.image, n)
		}
		for _, n := range refs.manifests {
			if !w.manifest(place{p.image, n}) {
				w.content(p.image, n)
			}
		}
		if refs.parent != nil {
			w.everywhere(*refs.parent)
		}
	}
	for _, e := range p.image.referrersOf(p.name) {
		w.manifest(place{p.image, e.of})
	}
	for _, a := range w.attached[p.name] {
		w.root(a)
	}
}

func (w *reach) content(img *imageView, n name) {
	switch l := img.blob(n); {
	case l == nil:
		w.v.held[n] = true
		w.unlisted[place{img, n}] = true
	case l.reached == 0:
		l.reached = w.why
	}
	if l := img.manifest(n); l != nil { // named as a blob, but also a manifest
		w.manifest(place{img, n})
	}
}

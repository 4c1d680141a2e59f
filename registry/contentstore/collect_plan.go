package contentstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// kind orders deletions: what can be seen goes before what it needs.
type kind int

const (
	kindTag kind = iota
	kindManifest
	kindEntry
	kindBlobLink
	kindBlob
	kinds
)

var kindNames = [kinds]string{"tag", "manifest", "entry", "blob link", "blob"}

// rubbish is one object, or tag, that nothing reaches.
type rubbish struct {
	kind  kind
	key   string
	image string // "" for bytes
	size  int64
}

// target is what a plan does about one digest.
type target struct {
	digest digest.Digest
	ptr    store.Pointer // its mark as it was read
	at     time.Time     // when it was condemned
	keys   []rubbish
}

// plan is what a run does. The dry run shows it, the other one carries it out.
type plan struct {
	drop    []store.Pointer // marks that mean nothing any more
	condemn []target
	remove  []target
}

// makePlan looks at a store. It writes nothing.
func (c *collection) makePlan(ctx context.Context) (plan, error) {
	v, err := c.r.listView(ctx)
	if err != nil {
		return plan{}, incomplete(err)
	}
	v.untag(c.untagged)
	if err := c.marker.mark(ctx, v); err != nil {
		return plan{}, incomplete(err)
	}
	found, err := c.rubbish(ctx, v)
	if err != nil {
		return plan{}, incomplete(err)
	}
	p := c.decide(v, found)
	if len(p.remove) == 0 {
		return p, nil
	}
	due := p.remove
	if p.remove, err = c.withhold(ctx, v, due); err != nil {
		return plan{}, err
	}
	going := map[digest.Digest]bool{}
	for _, t := range p.remove {
		going[t.digest] = true
	}
	for _, t := range due {
		keys := found[t.digest]
		switch {
		case going[t.digest]:
		case len(keys) > len(t.keys):
			// A mark that is not about all there is of a digest cannot end
			// while the rest needs what it is about.
			p.condemn = append(p.condemn, target{digest: t.digest, ptr: t.ptr, at: c.now, keys: clip(keys)})
		case v.marks[t.digest].State == deleting:
			p.drop = append(p.drop, t.ptr) // a collector died, and it is wanted again
		}
	}
	return p, nil
}

// decide compares what nothing reaches with the marks there are.
func (c *collection) decide(v *view, found map[digest.Digest][]rubbish) plan {
	var p plan
	for d, keys := range found {
		m, ok := v.marks[d]
		if !ok {
			p.condemn = append(p.condemn, target{digest: d, ptr: store.Absent(markName(d)), at: c.now, keys: clip(keys)})
			continue
		}
		old := intersect(keys, m.Keys)
		t := target{digest: d, ptr: m.ptr, at: m.At, keys: old}
		switch {
		case m.State == rescued && young(m.At.UnixNano(), c.now, c.grace):
		case m.State == deleting && len(old) > 0: // a collector died
			p.remove = append(p.remove, t)
		case m.State != condemned || len(old) == 0 || m.At.After(c.now.Add(c.grace)):
			// Rescued long ago, about something else, or by a clock that was
			// wrong: its time begins now.
			t.at, t.keys = c.now, clip(keys)
			p.condemn = append(p.condemn, t)
		case c.now.Sub(m.At) >= c.grace:
			p.remove = append(p.remove, t)
		}
	}
	for d, m := range v.marks {
		if _, ok := found[d]; !ok && (m.State != rescued || !young(m.At.UnixNano(), c.now, c.grace)) {
			p.drop = append(p.drop, m.ptr)
		}
	}
	return p
}

// clip leaves what fits into a mark. Bytes come last in keys, and so only go
// with the last of the links.
func clip(keys []rubbish) []rubbish { return keys[:min(len(keys), maxMarkKeys)] }

func intersect(keys []rubbish, marked []string) []rubbish {
	set := make(map[string]bool, len(marked))
	for _, k := range marked {
		set[k] = true
	}
	return slices.DeleteFunc(slices.Clone(keys), func(k rubbish) bool { return !set[k.key] })
}

// withhold takes out of targets what manifests need that do not go with them.
func (c *collection) withhold(ctx context.Context, v *view, targets []target) ([]target, error) {
	going := map[string]bool{}
	for _, t := range targets {
		for _, k := range t.keys {
			going[k.key] = true
		}
	}
	err := c.marker.hold(ctx, v, func(image string, n name) bool { return going[store.ManifestLinkKey(image, n.digest())] })
	if err != nil {
		return nil, incomplete(err)
	}
	var rest []target
	for _, t := range targets {
		t.keys = slices.DeleteFunc(slices.Clone(t.keys), func(k rubbish) bool { return !v.free(t.digest, k, going) })
		if len(t.keys) > 0 {
			rest = append(rest, t)
		}
	}
	return rest, nil
}

// free tells whether nothing in the view needs what a mark condemns.
func (v *view) free(d digest.Digest, k rubbish, going map[string]bool) bool {
	n := nameOf(d)
	if k.kind == kindBlob {
		return !v.held[n] && !slices.ContainsFunc(v.find(n), func(at linkAt) bool { return at.link.reached != 0 || !going[at.key()] })
	}
	img := v.images[k.image]
	if img == nil {
		return true
	}
	if k.kind == kindBlobLink {
		l := img.blob(n)
		return l == nil || l.reached == 0
	}
	l := img.manifest(n)
	return l == nil || l.reached == 0
}

// key is where the link is.
func (l linkAt) key() string {
	if l.manifest {
		return store.ManifestLinkKey(l.image.name, l.link.name.digest())
	}
	return store.BlobLinkKey(l.image.name, l.link.name.digest())
}

// rubbish lists, by digest and in the order of kinds, what the view does not
// reach. It goes through the bytes of all blobs.
func (c *collection) rubbish(ctx context.Context, v *view) (map[digest.Digest][]rubbish, error) {
	found := map[digest.Digest][]rubbish{}
	c.young = Young{}
	add := func(n name, k rubbish) { found[n.digest()] = append(found[n.digest()], k) }
	for _, img := range v.images {
		c.unreached(img, v.held, add)
		c.countYoung(v, img)
	}
	for _, h := range v.hints {
		if img := v.images[h.image]; img == nil || !img.has(h.of) {
			if !young(h.changed, c.now, c.grace) {
				add(h.of, rubbish{kindEntry, h.key, h.image, h.size})
			}
		}
	}
	for info, err := range c.r.objects(ctx, store.BlobsPrefix) {
		if err != nil {
			return nil, err
		}
		d := blobDigest(info.Key)
		if d == "" {
			continue // for scrub to report
		}
		n := nameOf(d)
		links := v.find(n)
		orphan := len(links) == 0 && !young(info.ModTime.UnixNano(), c.now, c.grace)
		unwanted := len(links) > 0 && !slices.ContainsFunc(links, func(at linkAt) bool { return at.link.reached != 0 })
		switch {
		case v.held[n]:
		case orphan || unwanted:
			add(n, rubbish{kindBlob, info.Key, "", info.Size})
		case !slices.ContainsFunc(links, func(at linkAt) bool { return at.link.reached == byRoot }):
			changed := info.ModTime.UnixNano()
			for _, at := range links {
				changed = max(changed, at.link.changed)
			}
			c.addYoung(v, n, changed, info.Size)
		}
	}
	for _, keys := range found {
		slices.SortFunc(keys, func(a, b rubbish) int {
			if a.kind != b.kind {
				return int(a.kind - b.kind)
			}
			return strings.Compare(a.key, b.key)
		})
	}
	return found, nil
}

// unreached lists what nothing needs of one image.
func (c *collection) unreached(img *imageView, held map[name]bool, add func(name, rubbish)) {
	for i := range img.manifests {
		if l := &img.manifests[i]; l.reached == 0 {
			add(l.name, rubbish{kindManifest, store.ManifestLinkKey(img.name, l.name.digest()), img.name, l.size})
		}
	}
	for i := range img.blobs {
		if l := &img.blobs[i]; l.reached == 0 {
			add(l.name, rubbish{kindBlobLink, store.BlobLinkKey(img.name, l.name.digest()), img.name, l.size})
		}
	}
	live := map[name]bool{}
	for _, t := range img.tags {
		n := nameOf(t.digest)
		live[n] = true
		if _, attached := subjectOfTag(t.tag); attached && !img.has(n) && !held[n] {
			add(n, rubbish{kindTag, t.ptr.Name, img.name, int64(len(t.ptr.Value))})
		}
	}
	entry := func(e objectView) {
		if !img.has(e.of) && !young(e.changed, c.now, c.grace) {
			add(e.of, rubbish{kindEntry, e.key, img.name, e.size})
		}
	}
	for _, e := range img.referrers {
		entry(e.objectView)
	}
	for _, e := range img.versions {
		if !live[e.of] { // a tag that names what is gone keeps its entry
			entry(e)
		}
	}
}

// countYoung counts links that nothing reaches and that are not old enough.
func (c *collection) countYoung(v *view, img *imageView) {
	for _, links := range [][]linkView{img.manifests, img.blobs} {
		for _, l := range links {
			if l.reached == byAge {
				c.addYoung(v, l.name, l.changed, l.size)
			}
		}
	}
}

func (c *collection) addYoung(v *view, n name, changed, size int64) {
	at := time.Unix(0, changed)
	if m, ok := v.marks[n.digest()]; ok && m.State == rescued && m.At.After(at) {
		at = m.At
	}
	c.young.Count++
	c.young.Bytes += size
	if due := at.Add(c.grace); due.After(c.young.Due) {
		c.young.Due = due
	}
}

// has tells whether a manifest is there and reached.
func (img *imageView) has(n name) bool {
	l := img.manifest(n)
	return l != nil && l.reached != 0
}

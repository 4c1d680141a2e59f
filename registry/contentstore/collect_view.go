package contentstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"iter"
	"slices"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// view is all that a store lists at one time. It takes about 100 bytes for
// each link of a blob or manifest, so 100 MB for a million.
type view struct {
	images map[string]*imageView
	index  []linkAt // every link, by digest
	hints  []hint
	marks  map[digest.Digest]standing
	// held are digests whose bytes stay though no link of the manifest's image
	// names them, which is for scrub to repair.
	held map[name]bool
}

// standing is a mark as it was listed.
type standing struct {
	mark
	ptr store.Pointer
}

// imageView is what one image has. Links are sorted by digest.
type imageView struct {
	name      string
	manifests []linkView
	blobs     []linkView
	referrers []referrerView
	versions  []objectView
	tags      []tagEntry // live ones
}

// linkView is a link. reached is 0 while nothing is known to need it.
type linkView struct {
	name    name
	changed int64 // Unix nanoseconds
	size    int64
	reached pass
}

// pass is why something stays.
type pass uint8

const (
	byRoot pass = iota + 1 // it is reached from a root
	byLink                 // it is reached from a manifest that is not to go yet
	byAge                  // it is younger than the grace, or was rescued within it
)

// referrerView is an entry of images/<i>/referrers/, objectView one of
// versions/; of is the manifest that it is about.
type referrerView struct {
	subject name
	objectView
}

type objectView struct {
	of      name
	key     string
	changed int64
	size    int64
}

// hint is an entry of descendants/.
type hint struct {
	image string
	objectView
}

// linkAt is where a link is.
type linkAt struct {
	image    *imageView
	link     *linkView
	manifest bool
}

// name is a digest in less memory than its string.
type name struct {
	sum   [32]byte // of sha256
	other string   // the digest, if it is of another algorithm
}

func nameOf(d digest.Digest) name {
	var n name
	if d.Algorithm() != digest.SHA256 {
		n.other = string(d)
	} else if _, err := hex.Decode(n.sum[:], []byte(d.Encoded())); err != nil {
		n.other = string(d)
	}
	return n
}

func (n name) digest() digest.Digest {
	if n.other != "" {
		return digest.Digest(n.other)
	}
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(n.sum[:]))
}

func (n name) compare(o name) int {
	return cmp.Or(cmp.Compare(n.other, o.other), bytes.Compare(n.sum[:], o.sum[:]))
}

// listView lists a store: objects first, then tags and marks, so that what a
// tag of the view names was there before.
func (r *Registry) listView(ctx context.Context) (*view, error) {
	v := &view{images: map[string]*imageView{}, marks: map[digest.Digest]standing{}, held: map[name]bool{}}
	for info, err := range r.objects(ctx, store.ImagesPrefix) {
		if err != nil {
			return nil, err
		}
		v.add(info)
	}
	for info, err := range r.objects(ctx, store.DescendsPrefix) {
		if err != nil {
			return nil, err
		}
		v.addHint(info)
	}
	v.sort()
	if err := r.listTags(ctx, v); err != nil {
		return nil, err
	}
	return v, r.listMarks(ctx, v)
}

// objects lists like store.List, and again behind its end until nothing is
// there: a listing that ends early is gone on with, not believed.
func (r *Registry) objects(ctx context.Context, prefix string) iter.Seq2[store.Info, error] {
	return persist(func(after string) iter.Seq2[store.Info, error] { return r.store.List(ctx, prefix, after) },
		func(i store.Info) string { return i.Key })
}

func persist[T any](list func(after string) iter.Seq2[T, error], key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		after := ""
		for more := true; more; {
			more = false
			for v, err := range list(after) {
				if err == nil {
					after, more = key(v), true
				}
				if !yield(v, err) || err != nil {
					return
				}
			}
		}
	}
}

// image is the view of an image, made where it is not there yet; nil for what
// is no image.
func (v *view) image(folder string) *imageView {
	image := store.UnescapeImage(folder)
	img := v.images[image]
	if img == nil && registry.CheckName(image) == nil {
		img = &imageView{name: strings.Clone(image)}
		v.images[img.name] = img
	}
	return img
}

func (v *view) add(info store.Info) {
	folder, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, store.ImagesPrefix), "/")
	kind, rest, _ := strings.Cut(rest, "/")
	img := v.image(folder)
	if img == nil {
		return
	}
	changed := info.ModTime.UnixNano()
	switch kind {
	case "manifests", "blobs":
		if registry.CheckDigest(digest.Digest(rest)) != nil {
			return
		}
		l := linkView{name: nameOf(digest.Digest(rest)), changed: changed, size: info.Size}
		if kind == "blobs" {
			img.blobs = append(img.blobs, l)
		} else {
			img.manifests = append(img.manifests, l)
		}
	case "referrers":
		subject, d, _ := strings.Cut(rest, "/")
		if registry.CheckDigest(digest.Digest(subject)) == nil && registry.CheckDigest(digest.Digest(d)) == nil {
			img.referrers = append(img.referrers, referrerView{nameOf(digest.Digest(subject)),
				objectView{nameOf(digest.Digest(d)), info.Key, changed, info.Size}})
		}
	case "versions":
		_, d, _ := strings.Cut(rest, "-")
		if registry.CheckDigest(digest.Digest(d)) == nil {
			img.versions = append(img.versions, objectView{nameOf(digest.Digest(d)), info.Key, changed, info.Size})
		}
	}
}

func (v *view) addHint(info store.Info) {
	_, rest, _ := strings.Cut(strings.TrimPrefix(info.Key, store.DescendsPrefix), "/")
	folder, d, _ := strings.Cut(rest, "@")
	image := store.UnescapeImage(folder)
	if registry.CheckName(image) == nil && registry.CheckDigest(digest.Digest(d)) == nil {
		v.hints = append(v.hints, hint{image, objectView{nameOf(digest.Digest(d)), info.Key, info.ModTime.UnixNano(), info.Size}})
	}
}

// sort makes what find and the images' lookups search in.
func (v *view) sort() {
	for _, img := range v.images {
		for _, links := range [][]linkView{img.manifests, img.blobs} {
			slices.SortFunc(links, func(a, b linkView) int { return a.name.compare(b.name) })
		}
		slices.SortFunc(img.referrers, func(a, b referrerView) int { return a.subject.compare(b.subject) })
		for i := range img.manifests {
			v.index = append(v.index, linkAt{img, &img.manifests[i], true})
		}
		for i := range img.blobs {
			v.index = append(v.index, linkAt{img, &img.blobs[i], false})
		}
	}
	slices.SortFunc(v.index, func(a, b linkAt) int { return a.link.name.compare(b.link.name) })
}

// find returns every link of a digest.
func (v *view) find(n name) []linkAt {
	at, _ := slices.BinarySearchFunc(v.index, n, func(l linkAt, n name) int { return l.link.name.compare(n) })
	end := at
	for end < len(v.index) && v.index[end].link.name == n {
		end++
	}
	return v.index[at:end]
}

func (img *imageView) manifest(n name) *linkView { return findLink(img.manifests, n) }
func (img *imageView) blob(n name) *linkView     { return findLink(img.blobs, n) }

func findLink(links []linkView, n name) *linkView {
	at, ok := slices.BinarySearchFunc(links, n, func(l linkView, n name) int { return l.name.compare(n) })
	if !ok {
		return nil
	}
	return &links[at]
}

// referrersOf returns the entries of a subject.
func (img *imageView) referrersOf(subject name) []referrerView {
	at, _ := slices.BinarySearchFunc(img.referrers, subject, func(e referrerView, n name) int { return e.subject.compare(n) })
	end := at
	for end < len(img.referrers) && img.referrers[end].subject == subject {
		end++
	}
	return img.referrers[at:end]
}

// listTags reads the tags of all images.
func (r *Registry) listTags(ctx context.Context, v *view) error {
	for ptr, err := range persist(func(after string) iter.Seq2[store.Pointer, error] {
		return r.pointers.List(ctx, store.ImagesPrefix, after)
	}, func(p store.Pointer) string { return p.Name }) {
		if err != nil {
			return err
		}
		folder, rest, _ := strings.Cut(strings.TrimPrefix(ptr.Name, store.ImagesPrefix), "/")
		tag, ok := strings.CutPrefix(rest, "tags/")
		if !ok {
			continue // the ledger's
		}
		t, err := parseTag(ptr)
		if err != nil {
			return err
		}
		if img := v.image(folder); img != nil && t.live() {
			if err := registry.CheckDigest(t.Digest); err != nil {
				return registry.Errorf(registry.CodeCorrupt, "pointer %s is damaged: %w", ptr.Name, err)
			}
			img.tags = append(img.tags, tagEntry{tag, t.Digest, ptr})
		}
	}
	return nil
}

// untag drops the tags that are taken as removed.
func (v *view) untag(removed func(image, tag string) bool) {
	if removed == nil {
		return
	}
	for _, img := range v.images {
		img.tags = slices.DeleteFunc(img.tags, func(t tagEntry) bool { return removed(img.name, t.tag) })
	}
}

func (r *Registry) listMarks(ctx context.Context, v *view) error {
	for ptr, err := range persist(func(after string) iter.Seq2[store.Pointer, error] {
		return r.pointers.List(ctx, store.GCPrefix, after)
	}, func(p store.Pointer) string { return p.Name }) {
		if err != nil {
			return err
		}
		d := digest.Digest(strings.TrimPrefix(ptr.Name, store.GCPrefix))
		if registry.CheckDigest(d) != nil {
			continue // the collector's own
		}
		m, err := parseMark(ptr)
		if err != nil {
			return err
		}
		v.marks[d] = standing{m, ptr}
	}
	return nil
}

// young tells what is not older than the grace by the store's word, or is
// dated in the future.
func young(changed int64, now time.Time, grace time.Duration) bool {
	return now.Sub(time.Unix(0, changed)) < grace
}

package contentstore

// Collection, in whole.
//
// What a store holds is reached from its roots: live tags, what the callback
// Roots names (channels, kept history, records, leases), manifests and blobs
// whose links are younger than the grace, and what a writer has rescued within
// it. From a manifest everything is reached that it names, what refers to it
// (referrers, and cosign's tags sha256-<hex>…, which are no roots), and the
// parent that it was baked on, in whichever image has that.
//
// A digest that has something unreached gets a mark, the pointer gc/<digest>.
// It lists the keys that it is about: links of the digest in some images,
// entries about it (referrers/, versions/, descendants/, tags of cosign), and
// its bytes if nothing else links them. Its states:
//
//	absent     nobody wants to delete it
//	condemned  set by a collector; any writer may take it to rescued
//	deleting   set by a collector after the grace; writers wait until it is gone
//	rescued    set by a writer; counts as young for one grace, then as absent
//
// A run of the collector, alone in office (collector_lease.go):
//
//  1. lists and marks everything, and plans (this is all that a dry run does);
//  2. swaps absent to condemned for what is newly unreached, and condemned to
//     deleting for what has been condemned for a grace and still is unreached;
//  3. lists and marks everything again. Every manifest link that is not itself
//     to be deleted now keeps what it names, wanted or not;
//  4. deletes of the keys of deleting marks what is not reached: tags,
//     manifest links, entries, blob links, bytes; each kind when the one
//     before is done; then removes the marks.
//
// A writer first links (the bytes are verified before: a link never makes
// readable what its image has not shown to have), then loads the marks
// (rescue.go), then looks whether link and bytes are there:
//
//   - blobs (PushBlob, Commit, MountBlob): link, mark, look;
//   - StatBlob, as who asks may leave the blob out of a push: mark, look;
//   - manifests: look for references, bytes, link, the marks of the manifest
//     and of its closure, look for all of it again; then tags, and once more
//     the manifest's own mark, and look (closure.go, manifests.go);
//   - those who store roots of their own (leases, channels): the root, then
//     Rescue.
//
// Why nothing acknowledged is lost. Let a writer need digest d, and load its
// mark at time T, its link being there before T.
//
//   - It finds condemned and swaps: one of the two swaps, to rescued and to
//     deleting, fails. If the writer's holds, d is not deleted before it was
//     condemned anew. If the collector's does, the writer finds deleting.
//   - It finds deleting: it waits until the mark is gone or rescued, then looks.
//     What is missing it stores again where it has the bytes, else the push is
//     told to retry (CodeTooManyRequests) or that the blob is unknown.
//   - It finds absent or rescued, or a mark that is not about its image. Either
//     the deletion is over: then looking, which comes after T, finds what it
//     took. Or d is condemned after T: then step 3 comes after T too, and sees
//     the manifest link that the writer made before T, or the tag that it set
//     before it loaded the manifest's mark for the last time.
//
// A manifest that is not to be deleted keeps what it names (step 3), but one
// may be linked anew while what it names is being deleted: so the writer of an
// index loads the marks of its whole closure, and looks for all of it. A root
// that moves (a tag set here, then removed there) may be missed by a listing
// that meets neither; but whoever sets a root loads the mark after that and
// before it is acknowledged, so d is not deleting unless the root was seen.
//
// The clock. None of this needs one: the grace only keeps uploads that nothing
// names yet, and saves work. Ages are the store's ModTime, or the time in the
// mark, against the collector's clock: where replicas' clocks differ by s, the
// grace is shorter by s. What is dated in the future is young; a mark from far
// in the future is condemned anew.
//
// A collector that dies leaves marks. The next one lists condemned ones as its
// own, and goes on with deleting ones from step 2, swapping each so that it is
// in nobody else's hands. A writer that waits for a deleting mark takes it
// itself when there is no collector, or when the collector's pointer has not
// changed for a term on the writer's own monotonic clock.
//
// A collector that was paused issues no delete after its term: each is issued
// only within it, with a deadline at its end, and who takes over has seen the
// pointer unchanged for a whole term. One that is told to stop waits for the
// deletes that it has issued, and where one failed it leaves its pointer to
// age. What remains is a delete that the store carries out long after its
// request has ended.
//
// An incomplete view collects nothing: an error of a listing, of Roots, or of a
// manifest that is wanted and cannot be read whole (ErrIncomplete). A listing
// that ends early is continued until nothing follows. A tag that names what is
// not there keeps what it would name.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/opencontainers/go-digest"
)

// Roots calls keep for each manifest that must stay, besides what tags reach.
// Image "" means: in every image that has it. keep is not safe for concurrent
// use. An error means an incomplete view.
type Roots func(ctx context.Context, keep func(image string, d digest.Digest)) error

// Bounds of CollectOptions.Grace.
const (
	DefaultGrace = 24 * time.Hour
	MinGrace     = time.Second
)

// CollectOptions of Collect.
type CollectOptions struct {
	Roots Roots         // required
	Grace time.Duration // DefaultGrace if zero, at least MinGrace
	Apply bool          // otherwise nothing is written
	// Untagged says which tags a dry run takes as removed; nil is none.
	Untagged func(image, tag string) bool
	Log      *slog.Logger // silent if nil
}

// Collection is what a run did, or would do.
type Collection struct {
	Removed        []Garbage
	Condemned      []Garbage // to be removed when they are due
	Rescued        int       // digests that were due, and were wanted again
	Bytes          int64     // sizes of what was removed
	BytesCondemned int64
	Young          Young
}

// Young is what nothing reaches and a run leaves alone, as it is younger than
// the grace: a push that is under way, or what was deleted soon after it came.
type Young struct {
	Count int   // links and bytes, as Garbage counts them
	Bytes int64 // their sizes
	// Due is when a run can condemn the last of them; one that comes a grace
	// after that one removes it.
	Due time.Time
}

// Garbage is one thing that nothing reaches.
type Garbage struct {
	// Kind is "manifest", "blob link" (an image's), "blob" (the bytes), "tag"
	// (of a signature) or "entry" (of an index, about a manifest).
	Kind   string
	Image  string // "" for a blob
	Digest digest.Digest
	Size   int64 // bytes of the object
	Due    time.Time
	Key    string // of the object in the store
}

// ErrIncomplete: not everything could be listed or read, so nothing was collected.
var ErrIncomplete = errors.New("incomplete view, nothing is collected")

func incomplete(err error) error { return fmt.Errorf("%w: %w", ErrIncomplete, err) }

// collection is one run.
type collection struct {
	r      *Registry
	grace  time.Duration
	now    time.Time
	marker *marker
	// untagged says which tags are taken as removed; nil is none.
	untagged func(image, tag string) bool
	young    Young // as the last listing had it
}

// Collect removes what has been unreached for a grace, and condemns what is
// unreached now; so what is not wanted goes with the second run after that. It
// is safe beside all other use of the store, on any number of replicas.
// Without Apply it writes nothing and tells what it would do now. With it,
// uploads that have expired go as well (PruneUploads).
//
// Errors: ErrIncomplete; ErrCollecting when another one is at it.
func (r *Registry) Collect(ctx context.Context, o CollectOptions) (Collection, error) {
	switch {
	case o.Roots == nil:
		return Collection{}, errors.New("collect: no roots given; what leases and channels keep is unknown")
	case o.Grace == 0:
		o.Grace = DefaultGrace
	case o.Grace < MinGrace:
		return Collection{}, fmt.Errorf("collect: grace of %v, want at least %v", o.Grace, MinGrace)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return r.collect(ctx, o)
}

func (r *Registry) collect(ctx context.Context, o CollectOptions) (Collection, error) {
	if !o.Apply {
		c := r.newCollection(o)
		c.untagged = o.Untagged
		p, err := c.makePlan(ctx)
		if err != nil {
			return Collection{}, fmt.Errorf("collect: %w", err)
		}
		return summed(Collection{Removed: c.garbage(p.remove), Condemned: c.garbage(p.condemn), Young: c.young}), nil
	}
	run, t, err := r.assume(ctx)
	if err != nil {
		return Collection{}, fmt.Errorf("collect: %w", err)
	}
	out, err := r.newCollection(o).apply(run, t)
	if err != nil && run.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", context.Cause(run), err)
	}
	if err = errors.Join(err, t.release(ctx)); err != nil {
		return summed(out), fmt.Errorf("collect: %w", err)
	}
	return summed(out), nil
}

func (r *Registry) newCollection(o CollectOptions) *collection {
	now := r.now()
	return &collection{r: r, grace: o.Grace, now: now, marker: &marker{
		r: r, roots: o.Roots, grace: o.Grace, now: now, log: o.Log, read: map[name]*references{},
	}}
}

func (c *collection) apply(ctx context.Context, t *tenure) (Collection, error) {
	p, err := c.makePlan(ctx)
	if err != nil {
		return Collection{}, err
	}
	young := c.young
	out, err := c.sweep(ctx, t, p)
	out.Young = young
	if err != nil {
		return out, err
	}
	_, err = c.r.PruneUploads(ctx)
	return out, err
}

// summed adds up the sizes.
func summed(c Collection) Collection {
	for _, g := range c.Removed {
		c.Bytes += g.Size
	}
	for _, g := range c.Condemned {
		c.BytesCondemned += g.Size
	}
	return c
}

func compareGarbage(a, b Garbage) int {
	return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Digest, b.Digest), cmp.Compare(a.Key, b.Key))
}

package bake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"kiln/registry"
	"kiln/sign"
)

// RecordAnnotation of an inputs referrer is the digest of the record in it.
const RecordAnnotation = "org.kiln.recipe"

// Bounds of what is looked at: newest versions of an image, and records of one
// version.
const (
	maxRecall  = 5
	maxRecords = 8
)

// ErrNoRecord says that nothing that can be believed tells how a version was
// made.
var ErrNoRecord = errors.New("there is no record of how it was made")

// RecordReader is the part of a registry that records lie in.
type RecordReader interface {
	registry.Reader
	Referrers(ctx context.Context, repo string, dgst digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error]
}

// Records reads how versions in a store were made. It is safe for concurrent
// use, and remembers what it read for as long as it lives.
type Records struct {
	Registry RecordReader
	// Newest lists the newest versions of an image; none for an unknown one.
	Newest func(ctx context.Context, image string, limit int) ([]digest.Digest, error)
	// Bakers verifies what those signed who may bake an image, the only ones
	// who are believed; nil for nobody. Without the function what the store has
	// is believed.
	Bakers func(ctx context.Context, image string) (*sign.Verifier, error)

	mu     sync.Mutex
	images map[string]*recalled
	read   map[string]*readOnce
}

// StoredRecord is a record, and the version that it is of.
type StoredRecord struct {
	*Record
	Name    string // of the image
	Version digest.Digest
	Digest  digest.Digest // of the record
	// Provenance is the predicate that vouches for it; nil where no key was asked for.
	Provenance json.RawMessage
}

// Signed says whether only signed records count.
func (r *Records) Signed() bool { return r.Bakers != nil }

// Of returns the record of a version, ErrNoRecord if there is none that counts.
func (r *Records) Of(ctx context.Context, image string, d digest.Digest) (*StoredRecord, error) {
	list, err := r.stored(ctx, image, d)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s@%s: %w", image, d, ErrNoRecord)
	}
	var problems []error
	for _, rec := range list {
		err := r.vouch(ctx, rec)
		if err == nil {
			return rec, nil
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("%s@%s: %w: %w", image, d, ErrNoRecord, errors.Join(problems...))
}

// readOnce is what was read of one version.
type readOnce struct {
	once sync.Once
	list []*heldRecord
	err  error

	vouched map[digest.Digest]error
	mu      sync.Mutex
}

func (r *Records) version(image string, d digest.Digest) *readOnce {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.read == nil {
		r.read = map[string]*readOnce{}
	}
	name := image + "@" + string(d)
	if r.read[name] == nil {
		r.read[name] = &readOnce{vouched: map[digest.Digest]error{}}
	}
	return r.read[name]
}

// stored reads the records of a version, newest first, believed or not. What
// cannot be understood is left out.
func (r *Records) stored(ctx context.Context, image string, d digest.Digest) ([]*StoredRecord, error) {
	held, err := r.held(ctx, image, d)
	var list []*StoredRecord
	for _, h := range held {
		if rec := h.read(); rec != nil {
			list = append(list, rec)
		}
	}
	return list, err
}

// held are the records of a version as the store has them.
func (r *Records) held(ctx context.Context, image string, d digest.Digest) ([]*heldRecord, error) {
	v := r.version(image, d)
	v.once.Do(func() { v.list, v.err = r.readAll(ctx, image, d) })
	return v.list, v.err
}

func (r *Records) readAll(ctx context.Context, image string, d digest.Digest) ([]*heldRecord, error) {
	var named []ocispec.Descriptor
	for desc, err := range r.Registry.Referrers(ctx, image, d, InputsArtifact) {
		if err != nil {
			return nil, fmt.Errorf("records of %s@%s: %w", image, d, err)
		}
		if desc.ArtifactType == InputsArtifact && desc.Annotations[RecordAnnotation] != "" && len(named) < maxRecords {
			named = append(named, desc)
		}
	}
	slices.SortStableFunc(named, func(a, b ocispec.Descriptor) int { // newest first
		return strings.Compare(b.Annotations[ocispec.AnnotationCreated], a.Annotations[ocispec.AnnotationCreated])
	})
	var list []*heldRecord
	for _, desc := range named {
		at := digest.Digest(desc.Annotations[RecordAnnotation])
		data, err := readBlob(ctx, r.Registry, image, at, maxRecord)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil {
			list = append(list, &heldRecord{data: data, image: image, version: d, digest: at})
		}
	}
	return list, nil
}

// readBlob reads a blob of at most limit bytes and checks its digest.
func readBlob(ctx context.Context, r registry.Reader, repo string, d digest.Digest, limit int64) ([]byte, error) {
	if err := registry.CheckDigest(d); err != nil {
		return nil, err
	}
	rc, err := r.OpenBlob(ctx, repo, d, 0, -1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("blob %s has more than %d bytes", d, limit)
	}
	if d.Algorithm().FromBytes(data) != d {
		return nil, fmt.Errorf("blob %s of %s is damaged", d, repo)
	}
	return data, nil
}

// vouch asks whether a record may be believed: a provenance of its version, by
// a key that may bake the image, names its digest.
func (r *Records) vouch(ctx context.Context, rec *StoredRecord) error {
	if r.Bakers == nil {
		return nil
	}
	v := r.version(rec.Name, rec.Version)
	v.mu.Lock()
	defer v.mu.Unlock()
	if err, known := v.vouched[rec.Digest]; known {
		return err
	}
	err := r.verify(ctx, rec)
	if ctx.Err() == nil {
		v.vouched[rec.Digest] = err
	}
	return err
}

func (r *Records) verify(ctx context.Context, rec *StoredRecord) error {
	verifier, err := r.Bakers(ctx, rec.Name)
	if err != nil {
		return err
	}
	if verifier == nil {
		return fmt.Errorf("nobody is trusted to bake %s", rec.Name)
	}
	found, err := verifier.Attestations(ctx, evidenceReader{r.Registry}, rec.Name, rec.Version, ProvenancePredicate)
	if err != nil {
		return err
	}
	for _, a := range found {
		if p, err := parseProvenance(a.Predicate); err == nil && p.image() == rec.Name && p.names(recordName, rec.Digest) {
			rec.Provenance = a.Predicate
			return nil
		}
	}
	return errors.New("no signed provenance names the record")
}

// evidenceReader is what sign reads of a registry.
type evidenceReader struct{ RecordReader }

// recalled are the newest versions of one image.
type recalled struct {
	once     sync.Once
	versions [][]*heldRecord // newest first
	err      error
}

// hit is a step of an earlier version.
type hit struct {
	*StoredRecord
	step RecordStep
}

// storedParts are the records of a version, and those of its platforms.
func (r *Records) storedParts(ctx context.Context, image string, d digest.Digest) ([]*heldRecord, error) {
	list, err := r.held(ctx, image, d)
	if err != nil || len(list) > 0 {
		return list, err
	}
	platforms, err := r.platforms(ctx, image, d)
	if err != nil {
		return nil, err
	}
	for _, p := range platforms {
		of, err := r.held(ctx, image, p)
		if err != nil {
			return nil, err
		}
		list = append(list, of...)
	}
	return list, nil
}

// find looks for a step among the newest versions of an image, those first
// that are newer. An image that the store does not have has none.
func (r *Records) find(ctx context.Context, image, k string) (hit, bool, error) {
	versions, err := r.newest(ctx, image)
	if err != nil {
		return hit{}, false, err
	}
	for _, records := range versions {
		for _, held := range records {
			if !held.mentions(k) {
				continue
			}
			rec := held.read()
			if rec == nil {
				continue
			}
			i := slices.IndexFunc(rec.Steps, func(s RecordStep) bool { return s.Key == k })
			if i < 0 {
				continue
			}
			if err := r.vouch(ctx, rec); err == nil {
				return hit{rec, rec.Steps[i]}, true, nil
			}
		}
	}
	return hit{}, false, nil
}

// newest are the records of the newest versions of an image, believed or not.
func (r *Records) newest(ctx context.Context, image string) ([][]*heldRecord, error) {
	r.mu.Lock()
	if r.images == nil {
		r.images = map[string]*recalled{}
	}
	known := r.images[image]
	if known == nil {
		known = &recalled{}
		r.images[image] = known
	}
	r.mu.Unlock()
	known.once.Do(func() { known.versions, known.err = r.recall(ctx, image) })
	return known.versions, known.err
}

// recall reads the records of the newest versions of an image side by side.
func (r *Records) recall(ctx context.Context, image string) ([][]*heldRecord, error) {
	newest, err := r.Newest(ctx, image, maxRecall)
	if err != nil {
		return nil, err
	}
	versions := make([][]*heldRecord, len(newest))
	group, ctx := errgroup.WithContext(ctx)
	for i, d := range newest {
		group.Go(func() (err error) {
			versions[i], err = r.storedParts(ctx, image, d)
			return err
		})
	}
	return versions, group.Wait()
}

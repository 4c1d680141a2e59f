package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// sink is where a snapshot goes.
type sink interface {
	// wants is asked about every object of the store: whether to copy it.
	wants(key string) bool
	// blob takes a blob's bytes. ErrDamaged if they are others: then it keeps
	// none.
	blob(ctx context.Context, d digest.Digest, size int64, r io.Reader) error
	// entry takes any other object, whole.
	entry(ctx context.Context, key string, data []byte) error
	// flush waits until all that was taken is written.
	flush(ctx context.Context) error
}

const (
	maxEntry = 16 << 20 // bytes of an object that is no blob
	rounds   = 5        // beginnings until the tags hold still
)

// snapshot reads a store into a sink.
type snapshot struct {
	from   Place
	to     sink
	report Report
	have   map[digest.Digest]bool     // blobs in the sink; false if damaged
	wanted map[digest.Digest][]string // entries whose blob is not in the sink yet
	void   map[string]bool            // entries that mean nothing: their blob, or manifest, is gone for good
	links  map[string]bool            // manifests' links that this round has seen whole
	names  []store.Pointer            // what the pointers are, in the order to write them
}

// take copies objects and reads pointers. What it returns is complete but for
// names and void, which the caller writes.
func take(ctx context.Context, from Place, to sink) (*snapshot, error) {
	s := &snapshot{from: from, to: to, have: map[digest.Digest]bool{}, void: map[string]bool{}}
	if err := s.blobs(ctx); err != nil { // most of the bytes, while pointers move on
		return nil, err
	}
	for range rounds {
		steady, err := s.round(ctx)
		if err != nil {
			return nil, err
		}
		if steady {
			return s, nil
		}
	}
	return nil, errors.New("back up: tags move, and what they named is deleted, faster than it can be copied; try again")
}

// round reads all that refers to something before what it refers to.
func (s *snapshot) round(ctx context.Context) (steady bool, err error) {
	s.wanted, s.links = map[digest.Digest][]string{}, map[string]bool{}
	if err := s.pointers(ctx); err != nil {
		return false, err
	}
	for _, c := range []class{classEntry, classBlobLink} {
		if err := s.entries(ctx, c); err != nil {
			return false, err
		}
	}
	if err := s.blobs(ctx); err != nil {
		return false, err
	}
	for d, keys := range s.wanted {
		if !s.have[d] {
			for _, key := range keys {
				s.void[key] = true
			}
		}
	}
	if err := s.to.flush(ctx); err != nil {
		return false, err
	}
	return s.steady(ctx)
}

// blobs copies the blobs that the sink lacks.
func (s *snapshot) blobs(ctx context.Context) error {
	for info, err := range s.from.Objects.List(ctx, store.BlobsPrefix, "") {
		if err != nil {
			return fmt.Errorf("back up: %w", err)
		}
		d := blobDigest(info.Key)
		if _, done := s.have[d]; d == "" || done {
			continue
		}
		if err := s.blob(ctx, d, info); err != nil {
			return fmt.Errorf("back up blob %s: %w", d, err)
		}
	}
	return s.to.flush(ctx)
}

func (s *snapshot) blob(ctx context.Context, d digest.Digest, info store.Info) error {
	if !s.to.wants(info.Key) {
		s.have[d] = true
		return nil
	}
	rc, err := s.from.Objects.Open(ctx, info.Key, 0, -1)
	if errors.Is(err, store.ErrNotFound) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return err
	}
	defer rc.Close()
	switch err := s.to.blob(ctx, d, info.Size, rc); {
	case errors.Is(err, ErrDamaged):
		s.have[d] = false
		s.report.Damaged = append(s.report.Damaged, d)
	case err != nil:
		return err
	default:
		s.have[d] = true
		s.report.Objects++
		s.report.Bytes += info.Size
	}
	return nil
}

// entries copies the small objects of one class.
func (s *snapshot) entries(ctx context.Context, c class) error {
	for info, err := range outsideBlobs(ctx, s.from.Objects) {
		if err != nil {
			return fmt.Errorf("back up: %w", err)
		}
		if classify(info.Key) != c {
			continue
		}
		if d := needed(info.Key); d != "" && !s.have[d] {
			s.wanted[d] = append(s.wanted[d], info.Key)
		}
		there := true
		if s.to.wants(info.Key) {
			var err error
			if there, err = s.entry(ctx, info.Key); err != nil {
				return fmt.Errorf("back up %s: %w", info.Key, err)
			}
		}
		s.pair(info.Key, there)
	}
	return s.to.flush(ctx)
}

// pair leaves out a referrer's entry without the manifest's link, which was
// listed before it: that was pushed, or is being deleted, meanwhile. What an
// earlier round has said of the key no longer counts.
func (s *snapshot) pair(key string, there bool) {
	delete(s.void, key)
	switch manifest, entry := manifestOf(key); {
	case !entry && manifest == key && there:
		s.links[key] = true
	case entry && !s.links[manifest]:
		s.void[key] = true
	}
}

// entry tells whether the object is still there.
func (s *snapshot) entry(ctx context.Context, key string) (bool, error) {
	data, err := readWhole(ctx, s.from.Objects, key)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = s.to.entry(ctx, key, data)
	}
	s.report.Objects++
	s.report.Bytes += int64(len(data))
	return true, err
}

// outsideBlobs lists all objects but the blobs.
func outsideBlobs(ctx context.Context, objects store.Store) func(yield func(store.Info, error) bool) {
	return func(yield func(store.Info, error) bool) {
		for info, err := range objects.List(ctx, "", "") {
			if err == nil && strings.HasPrefix(info.Key, store.BlobsPrefix) {
				break
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
		for info, err := range objects.List(ctx, "", store.BlobsPrefix+"~") { // behind every algorithm
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

func readWhole(ctx context.Context, objects store.Store, key string) ([]byte, error) {
	rc, err := objects.Open(ctx, key, 0, maxEntry+1)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(data) > maxEntry {
		return nil, fmt.Errorf("object %s has more than %d bytes and is no blob", key, maxEntry)
	}
	return data, nil
}

// pointers reads the pointers, those of channels first: what they name has a
// tag, and a key in the trust, since before. They are written the other way
// round.
func (s *snapshot) pointers(ctx context.Context) error {
	var states, tags, rest []store.Pointer
	read := func(into *[]store.Pointer, prefix string, want func(kind string) bool) error {
		for p, err := range s.from.Pointers.List(ctx, prefix, "") {
			if err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			if !pointerOut(p.Name) && want(imageKind(p.Name)) {
				*into = append(*into, p)
			}
		}
		return nil
	}
	err := read(&states, store.ImagesPrefix, func(kind string) bool { return kind == "state" })
	if err == nil {
		err = read(&tags, store.ImagesPrefix, func(kind string) bool { return kind != "" && kind != "state" })
	}
	if err == nil {
		err = read(&rest, "", func(kind string) bool { return kind == "" })
	}
	s.names = slices.Concat(rest, tags, states)
	s.report.Pointers = len(s.names)
	return err
}

// imageKind is the component behind an image's name; "" for other pointers.
func imageKind(name string) string {
	rest, ok := strings.CutPrefix(name, store.ImagesPrefix)
	if !ok {
		return ""
	}
	_, rest, _ = strings.Cut(rest, "/")
	kind, _, _ := strings.Cut(rest, "/")
	return kind
}

// steady tells whether what the tags named was there all the time.
func (s *snapshot) steady(ctx context.Context) (bool, error) {
	for _, p := range s.names {
		link := targetOf(p)
		if link == "" {
			continue
		}
		_, err := s.from.Objects.Stat(ctx, link)
		if err == nil {
			continue
		}
		if !errors.Is(err, store.ErrNotFound) {
			return false, fmt.Errorf("back up: %w", err)
		}
		now, err := s.from.Pointers.Load(ctx, p.Name)
		if errors.Is(err, store.ErrNotFound) || err == nil && now.Revision != p.Revision {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("back up: %w", err)
		}
		// It is broken where it comes from: a scrub says so.
	}
	return true, nil
}

// targetOf is the link that a live tag needs; "" for other pointers.
func targetOf(p store.Pointer) string {
	if imageKind(p.Name) != "tags" {
		return ""
	}
	var tag struct {
		Digest  digest.Digest `json:"digest"`
		Deleted bool          `json:"deleted"`
	}
	if json.Unmarshal(p.Value, &tag) != nil || tag.Deleted || tag.Digest.Validate() != nil {
		return ""
	}
	image, _, _ := strings.Cut(strings.TrimPrefix(p.Name, store.ImagesPrefix), "/")
	return store.ManifestLinkKey(store.UnescapeImage(image), tag.Digest)
}

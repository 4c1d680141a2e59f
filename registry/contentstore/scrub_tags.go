package contentstore

import (
	"context"
	"errors"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tags looks for all that an image's tags name, and for what version tags
// reach and are listed by. Nobody may delete that, so what is missing of it is
// put back where its bytes are there.
func (s *scrub) tags(ctx context.Context, image string) error {
	seen := map[digest.Digest]bool{}
	for e, err := range s.r.tags(ctx, image, "") {
		if err != nil { // a tag that cannot be read is a finding
			if ctx.Err() == nil {
				s.out.Problems = append(s.out.Problems, Problem{Image: image, Err: err, Broken: true})
			}
			return ctx.Err()
		}
		whole := registry.IsVersionTag(e.tag)
		m, err := s.reach(ctx, image, e.tag, e.digest, "", whole, seen)
		if err != nil {
			return err
		}
		if whole && m != nil {
			if err := s.versionOf(ctx, image, e.tag, e.digest, *m); err != nil {
				return err
			}
		}
	}
	return nil
}

// reach looks for a manifest and, if whole, for what it names. It returns nil
// where the manifest cannot be read, which it reports.
func (s *scrub) reach(ctx context.Context, image, tag string, d digest.Digest, mediaType string, whole bool, seen map[digest.Digest]bool) (*manifest, error) {
	l, m, err := s.r.linkOf(ctx, mediaType, d)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, s.suspect(ctx, s.unreadable(image, tag, d, err))
	}
	if seen[d] {
		return &m, nil
	}
	if err := s.missing(ctx, image, tag, d, store.ManifestLinkKey(image, d), func(ctx context.Context) error { return s.relink(ctx, image, l) }); err != nil {
		return nil, err
	}
	if !whole {
		return &m, nil
	}
	seen[d] = true
	for _, b := range m.blobs {
		if foreign(b) || seen[b.Digest] {
			continue
		}
		seen[b.Digest] = true
		if err := s.reachBlob(ctx, image, tag, b); err != nil {
			return nil, err
		}
	}
	for _, c := range m.manifests {
		if _, err := s.reach(ctx, image, tag, c.Digest, c.MediaType, true, seen); err != nil {
			return nil, err
		}
	}
	return &m, nil
}

// live tells that the tag is still what it was.
func (s *scrub) live(ctx context.Context, image, tag string) (bool, error) {
	t, _, err := s.r.loadTag(ctx, image, tag)
	return t.live(), err
}

func (s *scrub) unreadable(image, tag string, d digest.Digest, cause error) suspicion {
	if errors.Is(cause, store.ErrNotFound) {
		cause = registry.Errorf(registry.CodeCorrupt, "tag %s of %s needs manifest %s, but its bytes are gone", tag, image, d)
	}
	return suspicion{
		Problem: Problem{Image: image, Digest: d, Err: cause, Broken: true},
		still: func(ctx context.Context) (bool, error) {
			if live, err := s.live(ctx, image, tag); err != nil || !live {
				return false, err
			}
			_, _, err := s.r.linkOf(ctx, "", d)
			return err != nil, nil
		},
	}
}

func (s *scrub) reachBlob(ctx context.Context, image, tag string, b ocispec.Descriptor) error {
	info, err := s.r.store.Stat(ctx, store.BlobKey(b.Digest))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil && info.Size == b.Size {
		return s.missing(ctx, image, tag, b.Digest, store.BlobLinkKey(image, b.Digest), func(ctx context.Context) error { return s.r.addLink(ctx, image, b.Digest) })
	}
	return s.suspect(ctx, suspicion{
		Problem: Problem{Image: image, Digest: b.Digest, Broken: true, Err: registry.Errorf(registry.CodeCorrupt, "tag %s of %s needs it, but its %d bytes are not there", tag, image, b.Size)},
		still: func(ctx context.Context) (bool, error) {
			if live, err := s.live(ctx, image, tag); err != nil || !live {
				return false, err
			}
			info, err := s.r.store.Stat(ctx, store.BlobKey(b.Digest))
			if errors.Is(err, store.ErrNotFound) {
				return true, nil
			}
			return err == nil && info.Size != b.Size, err
		},
	})
}

// missing reports an object that a live tag needs, and that put makes.
func (s *scrub) missing(ctx context.Context, image, tag string, d digest.Digest, key string, put func(context.Context) error) error {
	gone := func(ctx context.Context) (bool, error) {
		if there, err := s.r.exists(ctx, key); err != nil || there {
			return false, err
		}
		if live, err := s.live(ctx, image, tag); err != nil || !live {
			return false, err
		}
		going, err := s.r.marked(ctx, d)
		return !going, err
	}
	is, err := gone(ctx)
	if err != nil || !is {
		return err
	}
	return s.suspect(ctx, suspicion{
		Problem: Problem{Image: image, Digest: d, Broken: true, Err: registry.Errorf(registry.CodeCorrupt, "tag %s of %s needs %s, which is missing", tag, image, key)},
		still:   gone,
		mend:    func(ctx context.Context) (string, error) { return "put it back", put(ctx) },
	})
}

// versionOf looks for the entries by which a version is listed.
func (s *scrub) versionOf(ctx context.Context, image, tag string, d digest.Digest, m manifest) error {
	t, _, err := s.r.loadTag(ctx, image, tag)
	if err != nil {
		return err
	}
	v, at := newVersion(tag, d, m, t.At)
	keys := []string{store.VersionKey(image, at, d)}
	if v.Base != "" {
		keys = append(keys, store.DescendantKey(v.Base, image, d))
	}
	if there, err := s.hasEntry(ctx, image, v); err != nil {
		return err
	} else if there {
		keys = keys[1:]
	}
	for _, key := range keys {
		if err := s.missing(ctx, image, tag, d, key, func(ctx context.Context) error { return s.r.putJSON(ctx, key, v) }); err != nil {
			return err
		}
	}
	return nil
}

// hasEntry finds a version whose entry counts by the time of its push, because
// its tag has no date: then the key cannot be told.
func (s *scrub) hasEntry(ctx context.Context, image string, v Version) (bool, error) {
	if _, err := time.Parse("20060102T150405Z", versionParts.FindStringSubmatch(v.Tag)[1]); err == nil && v.Created.Year() >= 1970 && v.Created.Year() <= 2261 {
		return false, nil
	}
	for have, err := range s.r.Versions(ctx, image, "") {
		if err != nil {
			return false, err
		}
		if have.Tag == v.Tag {
			return true, nil
		}
	}
	return false, nil
}

// entryAge is how old a version's entry without its tag must be to be no push
// that is still at work.
const entryAge = 24 * time.Hour

// versionEntries looks for entries that cannot be read, or whose tag never came
// or is gone for good.
func (s *scrub) versionEntries(ctx context.Context, image string) error {
	for info, err := range s.r.store.List(ctx, store.VersionsPrefix(image), "") {
		if err != nil {
			return err
		}
		wrong := func(ctx context.Context) (bool, error) { return s.stale(ctx, image, info) }
		is, err := wrong(ctx)
		if err != nil {
			return err
		}
		if !is {
			continue
		}
		if err := s.suspect(ctx, suspicion{
			Problem: Problem{Image: image, Err: registry.Errorf(registry.CodeCorrupt, "version entry %s has no tag, or cannot be read", info.Key)},
			still:   wrong,
			mend:    func(ctx context.Context) (string, error) { return s.dropEntry(ctx, image, info.Key) },
		}); err != nil {
			return err
		}
	}
	return nil
}

func (s *scrub) stale(ctx context.Context, image string, info store.Info) (bool, error) {
	var v Version
	err := s.r.readJSON(ctx, info.Key, &v)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case errors.Is(err, registry.CodeCorrupt), err == nil && registry.CheckTag(v.Tag) != nil:
		return true, nil
	case err != nil:
		return false, err
	}
	t, ptr, err := s.r.loadTag(ctx, image, v.Tag)
	switch {
	case err != nil:
		return false, nil // the tag is the finding
	case ptr.Exists():
		return t.Digest != v.Digest, nil // that of a tombstone is no news
	}
	return s.r.now().Sub(info.ModTime) > entryAge, nil
}

// dropEntry removes an entry, and puts it back if its tag came meanwhile.
func (s *scrub) dropEntry(ctx context.Context, image, key string) (string, error) {
	var v Version
	readErr := s.r.readJSON(ctx, key, &v)
	if err := s.r.store.Delete(ctx, key); err != nil {
		return "", coded(err)
	}
	if readErr != nil {
		return "removed it", nil // tags has the next look
	}
	t, _, err := s.r.loadTag(ctx, image, v.Tag)
	if err == nil && t.live() && t.Digest == v.Digest {
		err = s.r.putJSON(ctx, key, v)
	}
	return "removed it", err
}

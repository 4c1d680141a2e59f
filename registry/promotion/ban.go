package promotion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ban is a revocation that hits a version: its own, or that of an ancestor.
type ban struct {
	image     string        // that is revoked
	digest    digest.Digest // that is revoked
	inherited bool          // that is an ancestor
	clock     time.Time     // of the ledger that says so: it is never earlier than that
	revocation
}

// bans are the revocations that hit a version, in force or yet to come.
type bans []ban

// holds tells whether it is in force at a time. A ledger that a fast clock wrote
// to is ahead of those of the versions that it hits.
func (b ban) holds(now time.Time) bool { return !now.Before(b.At) || !b.clock.Before(b.At) }

// inForce is the one that holds at a time.
func (b bans) inForce(now time.Time) (ban, bool) {
	for _, one := range b {
		if one.holds(now) {
			return one, true
		}
	}
	return ban{}, false
}

// planned is the first one to begin of those that do not hold yet.
func (b bans) planned(now time.Time) (first ban, found bool) {
	for _, one := range b {
		if !one.holds(now) && (!found || one.At.Before(first.At)) {
			first, found = one, true
		}
	}
	return first, found
}

// next is when that one begins; zero for none.
func (b bans) next(now time.Time) time.Time {
	first, _ := b.planned(now)
	return first.At
}

// refuse is the error of using a version that is banned; where says what for,
// such as "in channel prod", and may be "".
func (b ban) refuse(image string, d digest.Digest, where string) *Error {
	if where != "" {
		where = " " + where
	}
	if b.inherited {
		return errorf(KindRevoked, "%s@%s%s was %s", image, d, where, b.because(image, d))
	}
	return errorf(KindRevoked, "%s@%s%s is revoked: %s", image, d, where, b.because(image, d))
}

// because is why a version is banned: the reason, and of what it is.
func (b ban) because(image string, d digest.Digest) string {
	switch {
	case b.inherited:
		return fmt.Sprintf("baked on %s@%s, which is revoked: %s", b.image, b.digest, b.Reason)
	case b.digest != d:
		return fmt.Sprintf("%s (%s@%s)", b.Reason, image, b.digest)
	}
	return b.Reason
}

// bansOn finds what forbids a version, as of st and of the heads of its
// ancestors' ledgers. Those are read now; who the ancestors are, which hardly
// changes, may have been read up to lineAge ago.
func (s *Service) bansOn(ctx context.Context, image string, d digest.Digest, st snapshot) (bans, error) {
	found, err := s.ownBans(ctx, image, d, st)
	if err != nil {
		return nil, err
	}
	line, err := s.rememberedLineage(ctx, image, d)
	if err != nil {
		return nil, err
	}
	inherited, err := s.inheritedBans(ctx, line, image, st)
	return append(found, inherited...), err
}

// ownBans finds the revocations of a version itself, of an index that it is an
// image of, and of the images that it is an index of.
func (s *Service) ownBans(ctx context.Context, image string, d digest.Digest, st snapshot) (bans, error) {
	if len(st.Revoked) == 0 && !st.MoreRevoked {
		return nil, nil
	}
	parts, err := s.partsOf(ctx, image, d, func(ocispec.Descriptor) bool { return true })
	if err != nil {
		return nil, err
	}
	return s.bansOf(ctx, image, append([]digest.Digest{d}, parts...), st)
}

// inheritedBans reads the ledgers' heads of the ancestors in this store.
func (s *Service) inheritedBans(ctx context.Context, line lineage, image string, st snapshot) (bans, error) {
	states := map[string]snapshot{image: st}
	var all bans
	for _, k := range line.ancestors {
		if k.Host != "" {
			continue
		}
		at, ok := states[k.Image]
		if !ok {
			var err error
			if at, err = s.state(ctx, k.Image); err != nil {
				return nil, err
			}
			states[k.Image] = at
		}
		found, err := s.bansOf(ctx, k.Image, append([]digest.Digest{k.Digest}, k.Parts...), at)
		if err != nil {
			return nil, err
		}
		for _, b := range found {
			if !b.NoDescendants {
				b.inherited = true
				all = append(all, b)
			}
		}
	}
	return all, nil
}

// bansOf finds the revocations of some digests of one image, as of st.
func (s *Service) bansOf(ctx context.Context, image string, digests []digest.Digest, st snapshot) (bans, error) {
	var found bans
	for _, d := range digests {
		for of, r := range st.Revoked {
			if of == d || slices.Contains(r.Covers, d) {
				found = append(found, ban{image: image, digest: of, clock: st.Clock, revocation: r})
			}
		}
		if !st.MoreRevoked {
			continue
		}
		older, err := s.olderBans(ctx, image, d, st)
		if err != nil {
			return nil, err
		}
		found = append(found, older...)
	}
	slices.SortFunc(found, func(a, b ban) int { return int(a.Sequence - b.Sequence) })
	return slices.CompactFunc(found, func(a, b ban) bool { return a.Record == b.Record }), nil
}

// olderBans finds what the state has no room for, by the index.
func (s *Service) olderBans(ctx context.Context, image string, d digest.Digest, st snapshot) (bans, error) {
	if err := s.index(ctx, image, st); err != nil {
		return nil, err
	}
	var found bans
	settled := map[digest.Digest]bool{} // by the newest record about each
	prefix := revokedKey(image, d, 0)
	for info, err := range s.store.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("revocations of %s@%s: %w", image, d, err)
		}
		r, record, err := s.indexedRecord(ctx, image, info.Key)
		if err != nil {
			return nil, err
		}
		if settled[r.Digest] {
			continue
		}
		settled[r.Digest] = true
		if r.Action == ActionRevoke {
			found = append(found, ban{image: image, digest: r.Digest, clock: st.Clock, revocation: r.revocation(record)})
		}
	}
	return found, nil
}

// indexedRecord reads the record that an entry of an index names.
func (s *Service) indexedRecord(ctx context.Context, image, key string) (Record, digest.Digest, error) {
	content, err := s.store.Open(ctx, key, 0, 256)
	if err != nil {
		return Record{}, "", fmt.Errorf("index of %s: %w", image, err)
	}
	defer content.Close()
	text, err := io.ReadAll(content)
	if err != nil {
		return Record{}, "", fmt.Errorf("index of %s: %w", image, err)
	}
	d := digest.Digest(text)
	if err := registry.CheckDigest(d); err != nil {
		return Record{}, "", fmt.Errorf("index of %s: %s: %w", image, clip(key), err)
	}
	r, err := s.record(ctx, image, d)
	return r, d, err
}

// isPlatform tells the image of a platform from what else an index may list.
func isPlatform(desc ocispec.Descriptor) bool { return desc.Platform != nil }

// partsOf lists what a version is an index of, at most maxCovers; nothing for
// one that is no index or is not stored.
func (s *Service) partsOf(ctx context.Context, image string, d digest.Digest, take func(ocispec.Descriptor) bool) ([]digest.Digest, error) {
	desc, content, err := s.registry.Manifest(ctx, image, d)
	if errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %s@%s: %w", image, d, err)
	}
	m, err := registry.ParseManifest(desc.MediaType, content)
	if err != nil {
		return nil, nil // whatever was pushed there names no platforms
	}
	var parts []digest.Digest
	for _, part := range m.Manifests {
		if take(part) && len(parts) < maxCovers {
			parts = append(parts, part.Digest)
		}
	}
	return parts, nil
}

// revokedKey is the index's entry of a record that revokes or restores a
// digest, newest first; without a sequence it is the prefix of all.
func revokedKey(image string, d digest.Digest, sequence int64) string {
	prefix := indexKey(image) + "revoked/" + string(d) + "/"
	if sequence == 0 {
		return prefix
	}
	return prefix + newestFirst(sequence)
}

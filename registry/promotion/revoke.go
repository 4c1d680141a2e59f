package promotion

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Revoke implements Operations.
func (s *Service) Revoke(ctx context.Context, req RevokeRequest) (Revocation, error) {
	at, err := s.checkRevoke(req)
	if err != nil {
		return Revocation{}, err
	}
	subject, err := s.revocable(ctx, req.Image, req.Digest)
	if err != nil {
		return Revocation{}, err
	}
	r := Record{Action: ActionRevoke, Digest: req.Digest, Reason: req.Reason, NoDescendants: req.NoDescendants}
	if r.Covers, err = s.partsOf(ctx, req.Image, req.Digest, isPlatform); err != nil {
		return Revocation{}, err
	}
	var old revocation // that the ledger has already
	done, err := s.enter(ctx, req.Image, "", subject, req.By, func(st snapshot) (next Record, err error) {
		next, old, err = s.revoking(ctx, r, at, req.Image, st)
		return next, err
	})
	switch {
	case errors.Is(err, errUnchanged):
		if done.Record, err = s.record(ctx, req.Image, old.Record); err != nil {
			return Revocation{}, err
		}
		done.digest = old.Record
	case err != nil:
		return Revocation{}, err
	}
	out := done.Record.revoked(done.digest, s.now())
	out.Schema, out.Unchanged, out.RecordedKey = RevocationSchema, old.Record == done.digest, done.recordedKey
	if err := s.strike(ctx, &out); err != nil {
		s.log.Warn("what a revocation hits is not listed whole", "repo", req.Image, "digest", req.Digest, "err", err)
		out.Truncated = true
	}
	if !out.InForce {
		s.shorten(ctx, &out)
	}
	return out, nil
}

// revoking is the record that revokes as of st, from at on, and the revocation
// that stands already: errUnchanged if that says as much.
func (s *Service) revoking(ctx context.Context, r Record, at *time.Time, image string, st snapshot) (Record, revocation, error) {
	now := st.tick(s.now())
	if at != nil && now.Before(*at) {
		r.Effective = at
	}
	old, is, err := s.standing(ctx, image, r.Digest, st)
	if err != nil || !is {
		return r, revocation{}, err
	}
	r.Image, r.Covers = image, distinctDigests(r.Covers, old.Covers)
	return r, old, old.against(r, now)
}

// checkRevoke refuses a malformed request. It returns from when on, in whole
// seconds; nil for now.
func (s *Service) checkRevoke(req RevokeRequest) (*time.Time, error) {
	if err := checkReasoned(req.Image, req.Digest, req.Reason); err != nil {
		return nil, err
	}
	if req.At == nil {
		return nil, nil
	}
	at := req.At.UTC().Truncate(time.Second)
	if now := s.now(); at.Before(now.Add(-MaxSkew)) {
		return nil, errorf(KindInvalid, "a revocation from %s on, which is past: it holds from when it is said", at.Format(time.RFC3339)).
			hinted("leave the time out, and say in the reason since when it was bad")
	}
	return &at, nil
}

func checkReasoned(image string, d digest.Digest, reason string) error {
	if err := checkImage(image); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	if reason == "" {
		return errorf(KindInvalid, "a reason is required: it is what whoever is refused reads")
	}
	return checkWords(reason, "")
}

// revocable describes what may be revoked: what the image has, what its ledger
// names, and what others here were baked on. KindNotFound for anything else.
func (s *Service) revocable(ctx context.Context, image string, d digest.Digest) (ocispec.Descriptor, error) {
	desc, _, err := s.registry.Manifest(ctx, image, d)
	if KindOf(err) != KindNotFound {
		desc.Digest = d // a damaged manifest may be revoked like any other
		if KindOf(err) == KindVerification {
			desc, err = goneSubject(d), nil
		}
		return desc, err
	}
	st, err := s.state(ctx, image)
	if err != nil {
		return desc, err
	}
	if _, is, err := s.standing(ctx, image, d, st); err != nil || is {
		return goneSubject(d), err
	}
	for _, channel := range s.channelsOf(st) {
		if was, err := s.reached(ctx, image, channel, d, st); err != nil || was {
			return goneSubject(d), err
		}
	}
	hints, err := s.namedBy(ctx, d, d)
	if err != nil || len(hints) > 0 {
		return goneSubject(d), err
	}
	return desc, errorf(KindNotFound, "%s has no version %s, and its ledger does not know it", image, d).hinted("kiln versions %s lists them", image)
}

// goneSubject describes a version that the store no longer has: its size is not
// known any more.
func goneSubject(d digest.Digest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d}
}

// Restore implements Operations.
func (s *Service) Restore(ctx context.Context, req RestoreRequest) (Restoration, error) {
	if err := checkReasoned(req.Image, req.Digest, req.Reason); err != nil {
		return Restoration{}, err
	}
	subject, err := s.revocable(ctx, req.Image, req.Digest)
	if err != nil {
		return Restoration{}, err
	}
	done, err := s.enter(ctx, req.Image, "", subject, req.By, func(st snapshot) (Record, error) {
		old, is, err := s.standing(ctx, req.Image, req.Digest, st)
		if err == nil && !is {
			err = s.notRevoked(ctx, req.Image, req.Digest, st)
		}
		return Record{Action: ActionRestore, Digest: req.Digest, Reason: req.Reason, Covers: old.Covers}, err
	})
	if err != nil {
		return Restoration{}, err
	}
	return Restoration{
		Schema: RestorationSchema, Image: req.Image, Digest: req.Digest, Reason: req.Reason,
		At: done.At, By: done.By, Sequence: done.Sequence, Record: done.digest,
	}, nil
}

// notRevoked says that there is nothing to restore, and where there may be.
func (s *Service) notRevoked(ctx context.Context, image string, d digest.Digest, st snapshot) error {
	e := errorf(KindNotFound, "%s@%s is not revoked", image, d)
	banned, err := s.bansOn(ctx, image, d, st)
	if err != nil {
		return err
	}
	if len(banned) > 0 {
		return e.hinted("it is unusable by the revocation of another: kiln restore %s@%s", banned[0].image, banned[0].digest)
	}
	return e.hinted("kiln history %s shows what was revoked and restored", image)
}

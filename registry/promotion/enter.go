package promotion

import (
	"context"
	"errors"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// entered is a record that the ledger took.
type entered struct {
	Record
	digest      digest.Digest
	recordedKey string // the promotion key, if this was its first use
}

// enter appends a record that moves no channel: build makes it from the state
// that it is appended to, and is asked again when another one was faster. Its
// place in the ledger, its time and who says it are filled in. channel is where
// the promotion key must count, "" for anywhere.
func (s *Service) enter(ctx context.Context, image, channel string, subject ocispec.Descriptor, by string, build func(snapshot) (Record, error)) (entered, error) {
	if s.signer == nil {
		return entered{}, errorf(KindDenied, "%w", ErrNoSigner).
			hinted("give --promotion-key or KILN_PROMOTION_KEY; kiln keygen makes one")
	}
	if by == "" {
		by = s.signer.KeyID()
	}
	id, err := s.StoreID(ctx)
	if err != nil {
		return entered{}, err
	}
	recorded, err := s.admit(ctx, s.mover(image, channel, by, true))
	if err != nil {
		return entered{}, err
	}
	for range maxAttempts {
		done, err := s.enterOnce(ctx, Record{StoreID: id, Image: image, By: by}, subject, build)
		if err == nil {
			if recorded {
				done.recordedKey = s.signer.KeyID()
			}
			return done, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return entered{}, err
		}
		if err := pause(ctx); err != nil {
			return entered{}, err
		}
	}
	return entered{}, errorf(KindConflict, "the ledger of %s is too busy", image).hinted("try again")
}

// enterOnce appends the record to the ledger as it is now; store.ErrConflict if
// that moved meanwhile.
func (s *Service) enterOnce(ctx context.Context, of Record, subject ocispec.Descriptor, build func(snapshot) (Record, error)) (entered, error) {
	st, err := s.state(ctx, of.Image)
	if err != nil {
		return entered{}, err
	}
	r, err := build(st)
	if err != nil {
		return entered{}, err
	}
	r.StoreID, r.Image, r.By = of.StoreID, of.Image, of.By
	r.Sequence, r.PrevRecord, r.At = st.Sequence+1, st.Head, st.tick(s.now())
	record, err := s.seal(ctx, r, subject)
	if err != nil {
		return entered{}, err
	}
	fresh, err := s.append(ctx, st, r, record, func(next state) (state, error) { return next.after(r, record.digest), nil })
	if err != nil {
		return entered{}, err
	}
	s.settle(ctx, r.Image, fresh, record)
	return entered{Record: r, digest: record.digest}, nil
}

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"kiln/registry"
	"kiln/registry/store"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// admitted says when a record of the ledger about d admitted a piece of its
// evidence: when the facts that the record names rest on it. A record counts if
// a key signed it that the trust lists for promoting the image, valid when it
// was made, and that is valid now or was followed by one that is. It is read
// when it is first asked for, which only keys with dates do.
func (s *Service) admitted(ctx context.Context, t Trust, image string, d digest.Digest, st snapshot) func(digest.Digest) (time.Time, bool) {
	load := sync.OnceValue(func() map[digest.Digest]time.Time {
		at := map[digest.Digest]time.Time{}
		for _, channel := range s.channels {
			if err := s.admittedBy(ctx, t, image, channel, d, st, at); err != nil {
				s.log.Warn("record not read for what it admitted", "repo", image, "channel", channel, "digest", string(d), "err", err)
			}
		}
		return at
	})
	return func(evidence digest.Digest) (time.Time, bool) {
		at, ok := load()[evidence]
		return at, ok
	}
}

// admittedBy adds what the record admitted that put d into a channel, as the
// index of the ledger knows it.
func (s *Service) admittedBy(ctx context.Context, t Trust, image, channel string, d digest.Digest, st snapshot, at map[digest.Digest]time.Time) error {
	record, err := s.reachedBy(ctx, image, channel, d)
	if err != nil || record == "" {
		return err
	}
	made, err := s.decisionOfRecord(ctx, image, record)
	if err != nil || made.Digest != d || made.Channel != channel || made.Document == nil {
		return err
	}
	v, err := t.Verifier(RolePromote, image, channel, s.now, nil)
	if err != nil {
		return err
	}
	if _, _, err := v.VerifyEnvelopeAt([]byte(made.Envelope), sign.PromotionPredicate, d, made.At); err != nil {
		return err
	}
	// Who holds a key that has ended can date a record back. What followed it
	// by a key that is valid cannot be made with that.
	if _, _, err := v.VerifyEnvelope([]byte(made.Envelope), sign.PromotionPredicate, d); err != nil {
		if err := s.succeeded(ctx, t, image, record, st); err != nil {
			return err
		}
	}
	var f struct {
		Evidence []digest.Digest `json:"evidence"`
	}
	if err := json.Unmarshal(made.Document, &f); err != nil {
		return err
	}
	for _, e := range f.Evidence {
		if was, ok := at[e]; !ok || made.At.Before(was) {
			at[e] = made.At
		}
	}
	return nil
}

// succeeded walks from the head of the ledger, which a key must have signed
// that is valid now, to a record.
func (s *Service) succeeded(ctx context.Context, t Trust, image string, record digest.Digest, st snapshot) error {
	v, err := t.Verifier(RolePromote, image, "", s.now, nil)
	if err != nil {
		return err
	}
	for d, r := range s.walk(ctx, image, st.Head, 0) {
		if r.err != nil {
			return r.err
		}
		if d == st.Head {
			envelope, err := s.envelope(ctx, image, d)
			if err != nil {
				return err
			}
			if _, _, err := v.VerifyEnvelope(envelope, sign.PromotionPredicate, r.Digest); err != nil {
				return errorf(KindVerification, "the newest record of %s is not by a promotion key that is valid now, so those before it prove no time: %w", image, err).
					hinted("any promotion with the key that followed makes them count again")
			}
		}
		if d == record {
			return nil
		}
	}
	return errorf(KindVerification, "the ledger of %s does not reach the record %s", image, record)
}

// reachedBy is a record that put d into a channel; "" if the index has none.
func (s *Service) reachedBy(ctx context.Context, image, channel string, d digest.Digest) (digest.Digest, error) {
	r, err := s.store.Open(ctx, reachedKey(image, channel, d), 0, 256)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	return digest.Digest(text), registry.CheckDigest(digest.Digest(text))
}

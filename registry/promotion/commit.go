package promotion

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// move is a decided change of one channel.
type move struct {
	action  Action
	image   string
	channel string
	subject ocispec.Descriptor // the version that the channel shall hold
	by      string
	reason  string
	policy  digest.Digest
	facts   digest.Digest
}

// maxAttempts bounds how often a move is tried again because other channels of
// the image moved.
const maxAttempts = 100

// commit moves the channel if it still is where base, the state that the
// decision rests on, has it. Moves of other channels are retried on top of.
func (s *Service) commit(ctx context.Context, base snapshot, m move) (Promotion, error) {
	st := base
	for range maxAttempts {
		r := s.next(st, m)
		banned, err := s.mayHold(ctx, m, st)
		if err != nil {
			return Promotion{}, err
		}
		if r.StoreID, err = s.StoreID(ctx); err != nil {
			return Promotion{}, err
		}
		record, err := s.seal(ctx, r, m.subject)
		if err != nil {
			return Promotion{}, err
		}
		fresh, err := s.append(ctx, st, r, record, func(next state) (state, error) {
			return s.issue(ctx, next.without(r.Digest), r.Image, r.Channel, channelState{
				Digest: r.Digest, Record: record.digest, Sequence: r.Sequence, At: r.At, By: r.By,
			}, banned.next(r.At))
		})
		if err == nil {
			s.settle(ctx, m.image, fresh, record)
			return r.promotion(record.digest), nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return Promotion{}, err
		}
		if fresh.Channels[m.channel].Record != base.Channels[m.channel].Record {
			return Promotion{}, moved(m.image, m.channel, fresh.Channels[m.channel].Digest)
		}
		st = fresh
		if err := pause(ctx); err != nil {
			return Promotion{}, err
		}
		if err := s.requireVersion(ctx, m.image, m.subject.Digest, st); err != nil {
			return Promotion{}, err
		}
	}
	return Promotion{}, errorf(KindConflict, "the ledger of %s is too busy", m.image).hinted("try again")
}

// next is the record that m appends to st; its StoreID is left open.
func (s *Service) next(st snapshot, m move) Record {
	c := st.Channels[m.channel]
	return Record{
		Image: m.image, Channel: m.channel, Action: m.action, Digest: m.subject.Digest,
		Previous: c.Digest, Sequence: st.Sequence + 1, PrevRecord: st.Head, PrevInChannel: c.Record,
		At: st.tick(s.now()), By: m.by, Reason: m.reason, Policy: m.policy, Facts: m.facts,
	}
}

// mayHold refuses to move a channel to what is revoked, itself or by its
// ancestors, whatever the policy says.
func (s *Service) mayHold(ctx context.Context, m move, st snapshot) (bans, error) {
	banned, err := s.bansOn(ctx, m.image, m.subject.Digest, st)
	if err != nil {
		return nil, err
	}
	if b, ok := banned.inForce(st.tick(s.now())); ok {
		e := b.refuse(m.image, m.subject.Digest, "")
		e.Kind = KindDenied
		e.Reasons = []Reason{{Rule: "revoked", Message: e.Message, Fix: "promote another version, or have the revocation taken back: kiln restore " + b.image + "@" + string(b.digest)}}
		e.Message = fmt.Sprintf("%s %s@%s to %s is denied", m.action, m.image, m.subject.Digest, m.channel)
		return nil, e
	}
	return banned, nil
}

// append stores a record and swaps the state to it, with what change makes of
// it: the commit point. With store.ErrConflict it returns the state that won
// instead.
func (s *Service) append(ctx context.Context, st snapshot, r Record, record sealed, change func(state) (state, error)) (snapshot, error) {
	if err := s.repair(ctx, r.Image, st); err != nil {
		return snapshot{}, err
	}
	if err := s.put(ctx, r.Image, record); err != nil {
		return snapshot{}, err
	}
	next := st.state
	next.Sequence, next.Head, next.Clock = r.Sequence, record.digest, r.At
	next, err := change(next)
	if err != nil {
		return snapshot{}, err
	}
	value, err := next.encode()
	if err != nil {
		return snapshot{}, err
	}
	ptr, err := s.pointers.Swap(ctx, st.pointer, value)
	if err == nil {
		return snapshot{state: next, pointer: ptr}, nil
	}
	return s.settled(ctx, r, record.digest, err)
}

// settled finds out what became of a swap that failed: an answer that got lost
// on the way may have been a yes.
func (s *Service) settled(ctx context.Context, r Record, d digest.Digest, cause error) (snapshot, error) {
	ctx = context.WithoutCancel(ctx)
	fresh, err := s.state(ctx, r.Image)
	if err != nil {
		return snapshot{}, fmt.Errorf("whether the ledger of %s took number %d is unknown: %w", r.Image, r.Sequence, errors.Join(cause, err))
	}
	if fresh.Sequence >= r.Sequence {
		for older, w := range s.walk(ctx, r.Image, fresh.Head, r.Sequence-1) {
			if w.err != nil {
				return snapshot{}, w.err
			}
			if older == d {
				return fresh, nil
			}
		}
	}
	if errors.Is(cause, store.ErrConflict) {
		return fresh, cause
	}
	return snapshot{}, fmt.Errorf("%s %s@%s: %w", r.Action, r.Image, r.Digest, cause)
}

// settle does what may be done after a commit or by the next reader. The move
// has happened; what fails here is repaired later. Only what a collection with
// a short grace has taken from under a slow commit is put again here and now.
func (s *Service) settle(ctx context.Context, image string, st snapshot, record sealed) {
	ctx = context.WithoutCancel(ctx)
	err := s.link(ctx, image, record.digest)
	for range 3 {
		if err == nil {
			break
		}
		if err = s.put(ctx, image, record); err == nil {
			err = s.link(ctx, image, record.digest)
		}
	}
	if err != nil {
		s.log.Warn("record not linked yet", "repo", image, "digest", record.digest, "err", err)
	}
	if err := s.index(ctx, image, st); err != nil {
		s.log.Warn("ledger not indexed yet", "repo", image, "err", err)
	}
}

// pause waits a little, by chance, so that racing writers part.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(rand.Int64N(int64(5 * time.Millisecond)))):
		return nil
	}
}

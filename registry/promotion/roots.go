package promotion

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Roots keeps what channels hold, the kept part of their history, every record
// of every ledger, and what is leased. It is a Roots. Ledgers are walked from
// their heads, not read from their indexes: what a damaged index forgets would
// be lost.
func (s *Service) Roots(ctx context.Context, keep func(image string, d digest.Digest)) error {
	return s.view(s.rules).roots(ctx, keep)
}

// view finds what must stay. It remembers ledgers between calls, which only
// ever grow. It is not safe for concurrent use.
type view struct {
	s     *Service
	rules []RetentionRule
	known map[string]*ledger // by image
}

func (s *Service) view(rules []RetentionRule) *view {
	return &view{s: s, rules: rules, known: map[string]*ledger{}}
}

// ledger is what was read of an image's ledger.
type ledger struct {
	head     digest.Digest
	sequence int64
	records  []digest.Digest
	// held are, by channel, the distinct digests that it ever held, the one it
	// took last first.
	held map[string][]digest.Digest
}

func (v *view) roots(ctx context.Context, keep func(image string, d digest.Digest)) error {
	for image, err := range v.s.registry.Repositories(ctx, "") {
		if err != nil {
			return fmt.Errorf("images: %w", err)
		}
		if err := v.image(ctx, image, keep); err != nil {
			return err
		}
	}
	return v.leased(ctx, keep)
}

// image keeps what one image needs.
func (v *view) image(ctx context.Context, image string, keep func(image string, d digest.Digest)) error {
	st, err := v.s.state(ctx, image)
	if err != nil {
		return err
	}
	return v.imageAt(ctx, image, st, keep)
}

// imageAt keeps what one image needs as of st.
func (v *view) imageAt(ctx context.Context, image string, st snapshot, keep func(image string, d digest.Digest)) error {
	// Until it is linked the head is a blob that nothing names.
	if err := v.s.repair(ctx, image, st); err != nil && !errors.Is(err, store.ErrReadOnly) {
		return fmt.Errorf("ledger of %s: %w", image, err)
	}
	l, err := v.ledger(ctx, image, st)
	if err != nil {
		return err
	}
	for _, d := range l.records {
		keep(image, d)
	}
	for _, c := range st.Channels {
		keep(image, c.Digest)
	}
	for _, d := range l.past(st, ruleOf(v.rules, image).History) {
		// What an older rule let go is no damage.
		switch there, err := v.s.linked(ctx, image, d); {
		case err != nil:
			return err
		case there:
			keep(image, d)
		}
	}
	return nil
}

// past lists the digests that channels held before, depth of each and all if
// depth is 0.
func (l *ledger) past(st snapshot, depth int) []digest.Digest {
	var list []digest.Digest
	for channel, held := range l.held {
		kept := 0
		for _, d := range held {
			if d == st.Channels[channel].Digest {
				continue
			}
			if kept++; depth > 0 && kept > depth {
				break
			}
			list = append(list, d)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// ledger reads what it does not know yet of an image's ledger, whole or not at
// all.
func (v *view) ledger(ctx context.Context, image string, st snapshot) (*ledger, error) {
	old := v.known[image]
	if old == nil {
		old = &ledger{}
	}
	if old.head == st.Head {
		return old, nil
	}
	l := &ledger{head: st.Head, sequence: st.Sequence, held: map[string][]digest.Digest{}}
	next := st.Sequence
	var before digest.Digest
	for d, r := range v.s.walk(ctx, image, st.Head, old.sequence) {
		switch {
		case r.err != nil:
			return nil, r.err
		case r.Sequence != next:
			return nil, fmt.Errorf("ledger of %s: record %s has number %d, not %d", image, d, r.Sequence, next)
		}
		next, before = next-1, r.PrevRecord
		l.records = append(l.records, d)
		if r.Action == ActionPromote || r.Action == ActionRollback {
			l.hold(r.Channel, r.Digest)
		}
	}
	if next != old.sequence || before != old.head {
		return nil, fmt.Errorf("ledger of %s: it ends before number %d", image, next)
	}
	l.records = append(l.records, old.records...)
	for channel, held := range old.held {
		for _, d := range held {
			l.hold(channel, d)
		}
	}
	v.known[image] = l
	return l, nil
}

// hold notes a digest that a channel held before those that are noted.
func (l *ledger) hold(channel string, d digest.Digest) {
	if !slices.Contains(l.held[channel], d) {
		l.held[channel] = append(l.held[channel], d)
	}
}

// leased keeps what is leased. A lease on what an image does not have any more
// keeps nothing: its taker was told so.
func (v *view) leased(ctx context.Context, keep func(image string, d digest.Digest)) error {
	now := v.s.now()
	for l, err := range v.s.leases(ctx, "", "") {
		if err != nil {
			return err
		}
		for _, image := range l.current(now).images() {
			switch there, err := v.s.linked(ctx, image, l.Digest); {
			case err != nil:
				return err
			case there:
				keep(image, l.Digest)
			}
		}
	}
	return nil
}

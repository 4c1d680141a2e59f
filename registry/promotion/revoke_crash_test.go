package promotion

import (
	"fmt"
	"testing"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// enters are the operations whose records move no channel, and what each has
// done to the state of a when it is done.
func enters(a digest.Digest) map[string]struct {
	do   func(*Service, *testing.T) (Record, error)
	done func(*world, snapshot) bool
} {
	type op = struct {
		do   func(*Service, *testing.T) (Record, error)
		done func(*world, snapshot) bool
	}
	revoked := func(_ *world, st snapshot) bool { _, is := st.Revoked[a]; return is }
	return map[string]op{
		"revoke": {func(s *Service, t *testing.T) (Record, error) {
			r, err := s.Revoke(t.Context(), RevokeRequest{Image: shop, Digest: a, Reason: "x"})
			return Record{Sequence: r.Sequence}, err
		}, revoked},
		"restore": {func(s *Service, t *testing.T) (Record, error) {
			r, err := s.Restore(t.Context(), RestoreRequest{Image: shop, Digest: a, Reason: "x"})
			return Record{Sequence: r.Sequence}, err
		}, func(w *world, st snapshot) bool { return !revoked(w, st) }},
		"approve": {func(s *Service, t *testing.T) (Record, error) {
			r, err := s.Approve(t.Context(), ApproveRequest{Image: shop, Digest: a, By: "ann"})
			return Record{Sequence: r.Sequence}, err
		}, func(w *world, _ snapshot) bool { return len(w.approved(a, "")) == 1 }},
	}
}

// crashWorld is where an operation is about to happen.
func crashWorld(t *testing.T, op string) (*world, digest.Digest, int64) {
	w := openWorld(t)
	a := w.image(shop, "a").Digest
	w.to("dev", a)
	if op == "restore" {
		w.revoke(a)
		return w, a, 2
	}
	return w, a, 1
}

// FAULTS 38, 39: a process dies before or after any write of a revocation, a
// restoration or an approval, or that one write fails. What was acknowledged is
// there, nothing is there by half, and the next process goes on.
func TestFailureAtEveryWriteOfARecord(t *testing.T) {
	for _, mode := range []struct{ late, once bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		for _, op := range []string{"revoke", "restore", "approve"} {
			if mode.late != mode.once && op != "revoke" {
				continue // they go the same way
			}
			t.Run(fmt.Sprintf("%s late=%v once=%v", op, mode.late, mode.once), func(t *testing.T) {
				for n := int64(1); ; n++ {
					w, a, before := crashWorld(t, op)
					f := &fuse{late: mode.late, once: mode.once}
					f.left.Store(n)
					r, err := enters(a)[op].do(w.dying(f, nil), t)
					st, serr := w.service.state(t.Context(), shop)
					if serr != nil {
						t.Fatal(serr)
					}
					entered := st.Sequence > before
					if err == nil && (!entered || r.Sequence != st.Sequence) || entered != enters(a)[op].done(w, st) {
						t.Fatalf("write %d: %v, number %d, state %+v", n, err, st.Sequence, st.Revoked)
					}
					// The next process goes on.
					if _, err := w.service.Approve(t.Context(), ApproveRequest{Image: shop, Digest: a, By: "bob"}); err != nil {
						t.Fatalf("write %d: %v", n, err)
					}
					w.checkLedger(t, nil)
					if f.left.Load() > 0 {
						if n < 6 {
							t.Fatalf("only %d writes: the test tests little", n)
						}
						return
					}
				}
			})
		}
	}
}

// FAULTS 42: the swap took effect, but its answer was lost or says conflict: the
// record is acknowledged, once.
func TestLostAnswerOfARecord(t *testing.T) {
	for _, op := range []string{"revoke", "restore", "approve"} {
		for name, lie := range map[string]error{"lost": errKilled, "conflict": store.ErrConflict} {
			t.Run(op+" "+name, func(t *testing.T) {
				w, a, before := crashWorld(t, op)
				f := &fuse{late: true, once: true}
				f.left.Store(1 << 40)
				s := w.dying(f, lie)
				s.pointers = stateOnly{s.pointers.(dyingPointers), f}
				if r, err := enters(a)[op].do(s, t); err != nil || r.Sequence != before+1 {
					t.Fatalf("%+v: %v", r, err)
				}
				if st, err := w.service.state(t.Context(), shop); err != nil || st.Sequence != before+1 {
					t.Fatalf("number %d: %v", st.Sequence, err)
				}
				w.checkLedger(t, nil)
			})
		}
	}
}

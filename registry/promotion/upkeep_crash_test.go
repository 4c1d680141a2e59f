package promotion

import (
	"fmt"
	"testing"
	"time"

	"kiln/registry/store"
)

// TestUpkeepFailsAtEveryWrite, FAULTS 38, 39 and 42: a process dies before or
// after any write of a deletion, a retention or a lease, or that one write
// fails and it lives on, or it took effect and says conflict. What was
// acknowledged is so, other versions can be promoted at once, and the next
// process brings it to its end, after an hour at the latest.
func TestUpkeepFailsAtEveryWrite(t *testing.T) {
	for _, mode := range []struct {
		late, once bool
		lie        error
	}{{false, false, nil}, {true, false, nil}, {false, true, nil}, {true, true, nil}, {true, true, store.ErrConflict}} {
		for op, least := range map[string]int64{"delete": 5, "retire": 4, "lease": 3} {
			t.Run(fmt.Sprintf("%s late=%v once=%v lie=%v", op, mode.late, mode.once, mode.lie), func(t *testing.T) {
				for n := int64(1); ; n++ {
					f := &fuse{late: mode.late, once: mode.once}
					f.left.Store(n)
					if upkeepFailsAt(t, op, n, f, mode.lie) {
						if n < least {
							t.Fatalf("only %d writes: the test tests little", n)
						}
						return
					}
				}
			})
		}
	}
}

// upkeepFailsAt fails at the n-th write, which f is set to, and says whether
// the operation needs fewer.
func upkeepFailsAt(t *testing.T, op string, n int64, f *fuse, lie error) bool {
	w := newWorld(t)
	w.later()
	collector := &recorder{}
	w.service = w.with(func(c *Config) { c.Policy = w.open(); c.Collector = collector })
	d := w.image(shop, "old").Digest
	w.clock.Add(time.Second)
	other := w.image(shop, "new").Digest
	do := func(s *Service) error {
		var err error
		switch op {
		case "delete":
			_, err = s.Delete(t.Context(), DeleteRequest{Image: shop, Digest: d})
		case "retire":
			_, err = s.Collect(t.Context(), CollectRequest{Apply: true, Retention: keepOne})
		case "lease":
			_, err = s.Lease(t.Context(), LeaseRequest{Image: shop, Digest: d, Holder: "prod", By: "bot", Lifetime: Duration(MaxLease)})
		}
		return err
	}
	s := w.dying(f, lie)
	s.collector = collector
	err := do(s)
	over := f.left.Load() > 0 // before others count
	if done := w.upkeepDone(op, d.String()); err == nil && !done {
		t.Fatalf("write %d: acknowledged, but not so", n)
	}
	if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: other, Channel: "dev"}); err != nil {
		t.Fatalf("write %d: another version cannot be promoted: %v", n, err)
	}
	w.clock.Add(abandoned)
	if err := do(w.service); err != nil && (op != "delete" || KindOf(err) != KindNotFound) {
		t.Fatalf("write %d: the next process: %v", n, err)
	}
	if !w.upkeepDone(op, d.String()) {
		t.Fatalf("write %d: the next process did not bring it to its end", n)
	}
	return over
}

// upkeepDone tells whether the operation of upkeepFailsAt has happened.
func (w *world) upkeepDone(op, version string) bool {
	w.Helper()
	d := digestOf(version)
	switch op {
	case "delete":
		_, _, err := w.registry.Manifest(w.Context(), shop, d)
		return KindOf(err) == KindNotFound && !w.tagged(d)
	case "retire":
		return !w.tagged(d)
	}
	return w.rooted(d)
}

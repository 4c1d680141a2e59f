package promotion

import (
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"
)

// Whatever is done in whatever order, with clocks that jump both ways, the
// service does what the naive model does, the ledger is one chain without gaps
// in which time does not run back, and no statement is older than the one
// before it.
func TestServiceDoesWhatTheModelDoes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.service = w.with(func(c *Config) { c.Policy = w.open(); c.Lifetime = time.Hour })
		var versions []digest.Digest
		for _, content := range []string{"a", "b", "c", "d"} {
			versions = append(versions, w.image(shop, content).Digest)
		}
		models := map[string]model{}
		marks := map[string]Mark{}
		revoked := map[digest.Digest]bool{}
		channel := rapid.SampledFrom([]string{"dev", "staging"})
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			c := channel.Draw(rt, "channel")
			w.clock.Add(time.Duration(rapid.IntRange(-90, 90).Draw(rt, "minutes")) * time.Minute)
			d := rapid.SampledFrom(versions).Draw(rt, "version")
			switch rapid.IntRange(0, 5).Draw(rt, "op") {
			case 0, 1:
				p, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: c})
				if revoked[d] {
					if k := KindOf(err); k != KindDenied && k != KindRevoked || (k == KindRevoked) != (models[c].current() == d) {
						rt.Fatalf("promote what is revoked: %+v, %v", p, err)
					}
					break
				}
				if err != nil || p.Digest != d || p.Unchanged != (models[c].current() == d) {
					rt.Fatalf("promote: %+v, %v", p, err)
				}
				models[c] = models[c].promote(d)
			case 2:
				p, err := w.service.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: c})
				if target := models[c].back(revoked); target == "" {
					if KindOf(err) != KindNotFound {
						rt.Fatalf("rollback with nowhere to go: %+v, %v", p, err)
					}
				} else if err != nil || p.Digest != target {
					rt.Fatalf("rollback: %+v, %v, want %s", p, err, target)
				} else {
					models[c] = models[c].rollback(revoked)
				}
			case 4:
				if r, err := w.service.Revoke(t.Context(), RevokeRequest{Image: shop, Digest: d, Reason: "x"}); err != nil || r.Unchanged != revoked[d] {
					rt.Fatalf("revoke: %+v, %v", r, err)
				}
				revoked[d] = true
			case 5:
				if _, err := w.service.Restore(t.Context(), RestoreRequest{Image: shop, Digest: d, Reason: "x"}); (err == nil) != revoked[d] {
					rt.Fatalf("restore: %v", err)
				}
				delete(revoked, d)
			case 3:
				if rapid.Bool().Draw(rt, "forget") {
					w.forgetIndex()
				}
			}
			if revoked[models[c].current()] {
				if _, err := w.resolved(shop, c); KindOf(err) != KindRevoked {
					rt.Fatalf("resolve what is revoked: %v", err)
				}
				continue
			}
			w.checkResolve(rt, c, models[c], marks)
		}
		w.checkLedger(rt, models)
	})
}

// failer is what rapid's and testing's T have in common.
type failer interface{ Fatalf(string, ...any) }

// checkResolve compares what a channel resolves to with the model, and its
// statement with the one before.
func (w *world) checkResolve(t failer, channel string, m model, marks map[string]Mark) {
	r, err := w.service.Resolve(w.Context(), ResolveRequest{Image: shop, Channel: channel})
	if m.current() == "" {
		if KindOf(err) != KindNotFound {
			t.Fatalf("resolve of an empty channel: %v", err)
		}
		return
	}
	if err != nil || r.Digest != m.current() {
		t.Fatalf("resolve: %s, %v, want %s", r.Digest, err, m.current())
	}
	st, err := w.service.state(w.Context(), shop)
	if err != nil {
		t.Fatalf("state: %v", err)
	}
	now := Mark{Sequence: r.Sequence, Issued: st.Channels[channel].Issue.Issued}
	if now.before(marks[channel]) {
		t.Fatalf("statement %+v after %+v", now, marks[channel])
	}
	marks[channel] = now
}

// checkLedger walks the whole ledger and compares it with the models.
func (w *world) checkLedger(t failer, models map[string]model) {
	ctx := w.Context()
	st, err := w.service.state(ctx, shop)
	if err != nil {
		t.Fatalf("state: %v", err)
	}
	next, last := st.Sequence, time.Time{}
	held := map[string][]digest.Digest{}
	for d, r := range w.service.walk(ctx, shop, st.Head, 0) {
		if r.err != nil || r.Sequence != next || !last.IsZero() && r.At.After(last) {
			t.Fatalf("record %s: number %d at %v before %v, want number %d: %v", d, r.Sequence, r.At, last, next, r.err)
		}
		next, last = next-1, r.At
		if r.Action == ActionPromote || r.Action == ActionRollback {
			held[r.Channel] = append(held[r.Channel], r.Digest)
		}
		if _, _, err := w.registry.Manifest(ctx, shop, d); err != nil {
			t.Fatalf("record %s is not linked: %v", d, err)
		}
	}
	if next != 0 {
		t.Fatalf("the ledger ends before number %d", next)
	}
	for c, m := range models {
		steps := m.steps()
		if len(held[c]) != len(steps) {
			t.Fatalf("%s has %d records, want %v", c, len(held[c]), steps)
		}
		for _, d := range held[c] {
			if ok, err := w.service.reached(ctx, shop, c, d, st); err != nil || !ok {
				t.Fatalf("%s was in %s, the index says %v, %v", d, c, ok, err)
			}
		}
	}
}

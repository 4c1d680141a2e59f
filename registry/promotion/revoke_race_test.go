package promotion

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func (w *world) write(key, content string) {
	w.Helper()
	if err := w.store.Put(w.Context(), key, strings.NewReader(content)); err != nil {
		w.Fatal(err)
	}
}

// FAULTS 41: revocations race promotions, renewals and resolves of several
// services. From when one is acknowledged nobody is given a statement of the
// version, and none was issued later than the revocation.
func TestNoStatementAfterARevocation(t *testing.T) {
	for round := range 5 {
		w := openWorld(t)
		w.service = w.with(func(c *Config) { c.Policy = w.open(); c.Lifetime = time.Minute })
		a, b := w.bakedOn(shop, "a"), w.bakedOn(shop, "b")
		w.to("dev", a)
		var wg sync.WaitGroup
		stop := make(chan struct{})
		busy := func(do func(*Service) error) {
			s := w.with(func(c *Config) { c.Policy = w.open(); c.Lifetime = time.Minute })
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					switch err := do(s); KindOf(err) {
					case "", KindRevoked, KindDenied, KindConflict:
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		for _, d := range []digest.Digest{a, b} {
			busy(func(s *Service) error {
				_, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
				return err
			})
		}
		busy(func(s *Service) error { _, err := s.Renew(t.Context(), RenewRequest{Image: shop}); return err })
		busy(func(*Service) error { w.clock.Add(time.Second); time.Sleep(time.Millisecond); return nil })
		time.Sleep(time.Duration(round*10) * time.Millisecond)
		r := w.revokeOf(RevokeRequest{Image: shop, Digest: a})
		for range 20 {
			got, err := w.resolved(shop, "dev")
			if err == nil && got.Digest == a {
				t.Fatalf("round %d: a revoked version is handed out", round)
			}
		}
		close(stop)
		wg.Wait()
		if c := w.channel(shop, "dev"); c.Digest == a && c.Issue.Sequence >= r.Sequence {
			t.Fatalf("round %d: a statement of number %d, revoked by number %d", round, c.Issue.Sequence, r.Sequence)
		}
		w.checkLedger(t, nil)
	}
}

// Several revoke, restore and approve at once: each gets its record, and the
// ledger is one chain.
func TestRecordsOfManyAtOnce(t *testing.T) {
	w := openWorld(t)
	var versions []digest.Digest
	for i := range 4 {
		versions = append(versions, w.image(shop, fmt.Sprint(i)).Digest)
	}
	var wg sync.WaitGroup
	for i, d := range versions {
		s := w.with(func(c *Config) { c.Policy = w.open() })
		wg.Go(func() {
			for n := range 5 {
				if _, err := s.Revoke(t.Context(), RevokeRequest{Image: shop, Digest: d, Reason: fmt.Sprint(n)}); err != nil {
					t.Error(err)
				}
				if _, err := s.Approve(t.Context(), ApproveRequest{Image: shop, Digest: d, By: fmt.Sprint(i, n)}); err != nil {
					t.Error(err)
				}
				if _, err := s.Restore(t.Context(), RestoreRequest{Image: shop, Digest: d, Reason: "x"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	st, err := w.service.state(t.Context(), shop)
	if err != nil || st.Sequence != 60 || len(st.Revoked) != 0 {
		t.Fatalf("number %d, %d revoked: %v", st.Sequence, len(st.Revoked), err)
	}
	for _, d := range versions {
		if list := w.approved(d, ""); len(list) != 5 {
			t.Errorf("%d approvals", len(list))
		}
	}
	w.checkLedger(t, nil)
}

package promotion

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// meanwhile does something once, after a state was read and before it is
// swapped.
type meanwhile struct {
	store.Pointers
	once *sync.Once
	do   func()
}

func (m meanwhile) Swap(ctx context.Context, old store.Pointer, value []byte) (store.Pointer, error) {
	if old.Name == store.StatePointer(shop) {
		m.once.Do(m.do)
	}
	return m.Pointers.Swap(ctx, old, value)
}

// FAULTS 41: a base is revoked while a new statement of what was baked on it is
// being stored. The swap compares the state of another image, so it succeeds;
// nobody is given the statement.
func TestAncestorIsRevokedWhileAStatementIsStored(t *testing.T) {
	for name, ask := range map[string]func(*Service) error{
		"resolve": func(s *Service) error {
			_, err := s.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "dev"})
			return err
		},
		"renew": func(s *Service) error {
			r, err := s.Renew(t.Context(), RenewRequest{Image: shop})
			if err == nil && len(r.Renewed) == 0 && len(r.Revoked) == 1 {
				err = errorf(KindRevoked, "not renewed")
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := openWorld(t)
			base := w.bakedOn("acme/base", "base")
			app := w.bakedOn(shop, "app", parent("acme/base", base))
			w.to("dev", app)
			w.clock.Add(EmbeddedLifetime - time.Hour) // due
			s := w.with(func(c *Config) {
				c.Policy = w.open()
				c.Pointers = meanwhile{w.pointers, &sync.Once{}, func() { w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base}) }}
			})
			if err := ask(s); KindOf(err) != KindRevoked {
				t.Errorf("answered: %v", err)
			}
		})
	}
}

// The same with a revocation that begins later: the statement that is handed out
// ends when it begins.
func TestStatementEndsWhenARevocationOfMeanwhileBegins(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	w.to("dev", w.bakedOn(shop, "app", parent("acme/base", base)))
	w.clock.Add(EmbeddedLifetime - time.Hour)
	at := w.clock.Now().Add(time.Minute)
	s := w.with(func(c *Config) {
		c.Policy = w.open()
		c.Pointers = meanwhile{w.pointers, &sync.Once{}, func() { w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base, At: &at}) }}
	})
	if _, err := s.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	if got := w.channel(shop, "dev").Issue.Expires; !got.Equal(at) {
		t.Errorf("it expires %v, the revocation begins %v", got, at)
	}
}

// FAULTS 43: a server whose clock is fast revokes a base. Others, whose clocks
// are right, stop what was baked on it at once, not when they reach that time.
func TestRevocationByAFastClockIsInheritedAtOnce(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	app := w.bakedOn(shop, "app", parent("acme/base", base))
	w.to("dev", app)
	fast := w.with(func(c *Config) { c.Now = func() time.Time { return w.clock.Now().Add(time.Hour) } })
	if _, err := fast.Revoke(t.Context(), RevokeRequest{Image: "acme/base", Digest: base, Reason: "CVE-2026-1"}); err != nil {
		t.Fatal(err)
	}
	_, err := w.resolved(shop, "dev")
	want(t, err, KindRevoked, "CVE-2026-1")
	_, err = w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: app, Channel: "staging"})
	want(t, err, KindDenied, "CVE-2026-1")
	versions, err := w.service.Versions(t.Context(), VersionsRequest{Image: shop})
	if err != nil || !versions.Versions[0].Revoked {
		t.Errorf("versions %+v: %v", versions, err)
	}
}

// No page of a list leaves out images whose names begin as another's: "@", which
// follows a name in a cursor, sorts behind "-".
func TestRevocationsOfSimilarNames(t *testing.T) {
	w := openWorld(t)
	images := []string{"acme/a", "acme/a-b", "acme/a.c", "acme/a/d", "acme/a0"}
	for _, image := range images {
		w.revokeOf(RevokeRequest{Image: image, Digest: w.image(image, image).Digest})
	}
	var seen []string
	req := RevocationsRequest{Limit: 1}
	for range images {
		page, err := w.service.Revocations(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Revocations {
			seen = append(seen, r.Image)
		}
		if req.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if len(seen) != len(images) {
		t.Errorf("listed %v", seen)
	}
}

// A base, or the version itself, is revoked while what was baked on it is
// promoted: the channel has moved, answers nothing, and who moved it is told.
func TestRevokedWhileItIsPromoted(t *testing.T) {
	for name, c := range map[string]struct {
		revoke func(w *world, base, app digest.Digest)
		want   string
	}{
		"base":         {func(w *world, base, _ digest.Digest) { w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base}) }, "baked on acme/base@"},
		"base to come": {func(w *world, base, _ digest.Digest) { w.revokeLater("acme/base", base) }, ""},
		"base by itself": {func(w *world, base, _ digest.Digest) {
			w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base, NoDescendants: true})
		}, ""},
		"another version": {func(w *world, _, _ digest.Digest) {
			w.revokeOf(RevokeRequest{Image: shop, Digest: w.bakedOn(shop, "other")})
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := openWorld(t)
			base := w.bakedOn("acme/base", "base")
			app := w.bakedOn(shop, "app", parent("acme/base", base))
			s := w.with(func(cfg *Config) {
				cfg.Policy = w.open()
				cfg.Pointers = meanwhile{w.pointers, new(sync.Once), func() { c.revoke(w, base, app) }}
			})
			p, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: app, Channel: "dev"})
			if err != nil || (p.RevokedBecause == "") != (c.want == "") || !strings.Contains(p.RevokedBecause, c.want) {
				t.Fatalf("%+v: %v", p, err)
			}
			if held := w.channel(shop, "dev"); held.Digest != app {
				t.Errorf("the channel holds %s", held.Digest)
			}
			if _, err := w.resolved(shop, "dev"); (KindOf(err) == KindRevoked) != (c.want != "") {
				t.Errorf("resolve says %v", err)
			}
		})
	}
}

// revokeLater plans a revocation.
func (w *world) revokeLater(image string, d digest.Digest) {
	at := w.clock.Now().Add(time.Hour)
	w.revokeOf(RevokeRequest{Image: image, Digest: d, At: &at})
}

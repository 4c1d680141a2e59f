package promotion

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"kiln/registry/contentstore"
	"kiln/registry/store"
)

var errKilled = errors.New("killed")

// fuse burns down with every write of a store; then the process is dead: with
// late set, the last write still took effect, but nobody heard.
type fuse struct {
	left atomic.Int64
	late bool
	once bool // only that one write fails, the process lives on
}

// write does one, unless dead.
func (f *fuse) write(do func() error) error {
	switch n := f.left.Add(-1); {
	case n > 0, f.once && n < 0:
		return do()
	case n == 0 && f.late:
		if err := do(); err != nil {
			return err
		}
	}
	return errKilled
}

func (f *fuse) dead() bool { return !f.once && f.left.Load() <= 0 }

type dyingStore struct {
	store.Store
	*fuse
}

func (s dyingStore) Put(ctx context.Context, key string, r io.Reader) error {
	return s.write(func() error { return s.Store.Put(ctx, key, r) })
}

func (s dyingStore) Delete(ctx context.Context, key string) error {
	return s.write(func() error { return s.Store.Delete(ctx, key) })
}

func (s dyingStore) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if s.dead() {
		return nil, errKilled
	}
	return s.Store.Open(ctx, key, offset, length)
}

type dyingPointers struct {
	store.Pointers
	*fuse
	lie error // what a late swap returns
}

func (p dyingPointers) Load(ctx context.Context, name string) (store.Pointer, error) {
	if p.dead() {
		return store.Pointer{}, errKilled
	}
	return p.Pointers.Load(ctx, name)
}

func (p dyingPointers) Swap(ctx context.Context, old store.Pointer, next []byte) (ptr store.Pointer, err error) {
	err = p.write(func() error {
		var err error
		ptr, err = p.Pointers.Swap(ctx, old, next)
		return err
	})
	if errors.Is(err, errKilled) && p.lie != nil {
		err = p.lie
	}
	return ptr, err
}

// dying is a service whose process dies as the fuse says.
func (w *world) dying(f *fuse, lie error) *Service {
	s, p := dyingStore{w.store, f}, dyingPointers{w.pointers, f, lie}
	return w.with(func(c *Config) {
		c.Policy = w.open()
		c.Store, c.Pointers, c.Registry = s, p, contentstore.New(s, p, contentstore.Options{Now: w.clock.Now})
	})
}

// FAULTS 38, 39: a process dies before or after any write of a promotion or a
// rollback, or that one write fails and it lives on. What was acknowledged is
// there, nothing is there by half, and the next process goes on and mends.
func TestFailureAtEveryWrite(t *testing.T) {
	for _, mode := range []struct{ late, once bool }{{false, false}, {true, false}, {false, true}, {true, true}} {
		for _, op := range []string{"promote", "rollback"} {
			t.Run(fmt.Sprintf("%s late=%v once=%v", op, mode.late, mode.once), func(t *testing.T) {
				for n := int64(1); ; n++ {
					f := &fuse{late: mode.late, once: mode.once}
					f.left.Store(n)
					if done := failsAt(t, op, n, f); done {
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

// failsAt fails at the n-th write, which f is set to, and says whether the
// operation needs fewer.
func failsAt(t *testing.T, op string, n int64, f *fuse) bool {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	a, b, c := w.image(shop, "a").Digest, w.image(shop, "b").Digest, w.image(shop, "c").Digest
	w.to("dev", a)
	w.to("dev", b)
	s := w.dying(f, nil)
	var p Promotion
	var err error
	after := c
	if op == "promote" {
		p, err = s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: c, Channel: "dev"})
	} else {
		after = a
		p, err = s.Rollback(t.Context(), RollbackRequest{Image: shop, Channel: "dev"})
	}
	st, serr := w.service.state(t.Context(), shop)
	if serr != nil {
		t.Fatal(serr)
	}
	m := model("").promote(a).promote(b)
	switch held := st.Channels["dev"].Digest; {
	case err == nil && (held != after || p.Digest != after):
		t.Fatalf("write %d: acknowledged, but dev holds %s", n, held)
	case held != b && held != after:
		t.Fatalf("write %d: dev holds %q", n, held)
	case held == after && op == "promote":
		m = m.promote(c)
	case held == after:
		m = m.rollback(nil)
	}
	// The next process resolves or goes straight on, and leaves everything whole.
	if !f.once {
		w.checkResolve(t, "dev", m, map[string]Mark{})
	}
	if m.current() != c {
		w.to("dev", c)
		m = m.promote(c)
	} else {
		w.to("dev", b)
		m = m.promote(b)
	}
	w.checkLedger(t, map[string]model{"dev": m})
	return f.left.Load() > 0
}

// FAULTS 42: a swap took effect, but its answer was lost, or says conflict. The
// promotion has happened and is acknowledged, once.
func TestLostAnswerOfTheCommit(t *testing.T) {
	for name, lie := range map[string]error{"lost": errKilled, "conflict": store.ErrConflict} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.service = w.with(func(c *Config) { c.Policy = w.open() })
			a, b := w.image(shop, "a").Digest, w.image(shop, "b").Digest
			w.to("dev", a)
			f := &fuse{late: true, once: true}
			f.left.Store(1 << 40)
			s := w.dying(f, lie)
			armed := s.pointers.(dyingPointers)
			s.pointers = stateOnly{armed, f}
			p, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: b, Channel: "dev"})
			if err != nil || p.Digest != b || p.Sequence != 2 {
				t.Fatalf("%+v: %v", p, err)
			}
			w.checkLedger(t, map[string]model{"dev": model("").promote(a).promote(b)})
		})
	}
}

// stateOnly lights the fuse at the first swap of the state.
type stateOnly struct {
	dyingPointers
	f *fuse
}

func (p stateOnly) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if old.Name == store.StatePointer(shop) && p.f.left.Load() > 0 {
		p.f.left.Store(1)
	}
	return p.dyingPointers.Swap(ctx, old, next)
}

// A medium that takes no writes still answers.
func TestReadOnlyStoreResolves(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	a := w.image(shop, "a").Digest
	w.to("dev", a)
	dead := w.with(func(c *Config) { c.Policy = w.open() })
	dead.pointers = readOnly{w.pointers}
	w.clock.Add(29 * 24 * 3600e9)
	r, err := dead.Resolve(t.Context(), ResolveRequest{Image: shop, Channel: "dev"})
	if err != nil || r.Digest != a {
		t.Fatalf("%s: %v", r.Digest, err)
	}
	_, err = dead.Promote(t.Context(), PromoteRequest{Image: shop, Digest: w.image(shop, "b").Digest, Channel: "dev"})
	if !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("promote: %v", err)
	}
}

type readOnly struct{ store.Pointers }

func (readOnly) Swap(context.Context, store.Pointer, []byte) (store.Pointer, error) {
	return store.Pointer{}, store.ErrReadOnly
}

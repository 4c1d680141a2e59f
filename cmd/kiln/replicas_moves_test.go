//go:build full

package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/opencontainers/go-digest"

	"kiln/registry/promotion"
)

// movesLog is every move and read of a channel.
type movesLog struct {
	mu      sync.Mutex
	ops     []porcupine.Operation
	unknown int // moves whose outcome the client was not told
}

// move is an attempt on the channel dev of an image.
type move struct {
	image  string
	digest digest.Digest // to promote; "" reads
	expect string
	reason string // its own
}

// moved is what the client was told.
type moved struct {
	kind      promotion.Kind
	digest    digest.Digest // that a read found
	previous  digest.Digest
	unchanged bool
	unknown   bool // the answer was lost: it may have happened, also later
}

// registerModel is one channel as one process alone would see it: a register.
// A conflict may come at any time, but then nothing happened. What became of
// an unknown move is open.
var registerModel = porcupine.NondeterministicModel{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range ops {
			image := op.Input.(move).image
			by[image] = append(by[image], op)
		}
		return slices.Collect(maps.Values(by))
	},
	Init: func() []any { return []any{digest.Digest("")} },
	Step: func(s, in, out any) []any {
		now, i, o := s.(digest.Digest), in.(move), out.(moved)
		fits := i.expect == "" || i.expect == string(now) || i.expect == promotion.ExpectNone && now == ""
		switch {
		case o.unknown && fits:
			return []any{now, i.digest}
		case o.unknown, o.kind == promotion.KindConflict:
			return []any{now}
		case i.digest == "":
			if o.digest == now {
				return []any{now}
			}
		case o.unchanged:
			if fits && now == i.digest {
				return []any{now}
			}
		case fits && o.previous == now && now != i.digest:
			return []any{i.digest}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}

// promote moves and reads channels until ctx ends.
func (f *fleet) promote(ctx context.Context, client int) {
	images := slices.Sorted(maps.Keys(f.versions))
	for i := 0; ctx.Err() == nil; i++ {
		l := f.any(ctx)
		if l == nil {
			return
		}
		in := move{image: images[rand.IntN(len(images))]}
		all := f.versions[in.image]
		if rand.IntN(3) > 0 {
			in.digest, in.reason = all[rand.IntN(len(all))], fmt.Sprintf("%d/%d", client, i)
			in.expect = []string{"", "", promotion.ExpectNone, string(all[rand.IntN(len(all))])}[rand.IntN(4)]
		}
		op := porcupine.Operation{ClientId: client, Input: in, Call: time.Since(f.start).Nanoseconds()}
		out, counts := f.perform(context.WithoutCancel(ctx), l, in)
		op.Output, op.Return = out, time.Since(f.start).Nanoseconds()
		if !counts {
			continue
		}
		f.moves.mu.Lock()
		if out.unknown {
			f.moves.unknown++
		}
		f.moves.ops = append(f.moves.ops, op)
		f.moves.mu.Unlock()
	}
}

// perform makes one attempt; it does not count if it was a read that failed.
func (f *fleet) perform(ctx context.Context, l *life, in move) (out moved, counts bool) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if in.digest == "" {
		r, err := l.api.Resolve(ctx, promotion.ResolveRequest{Image: in.image, Channel: "dev"})
		kind := promotion.KindOf(err)
		return moved{kind: kind, digest: r.Digest}, kind == "" || kind == promotion.KindNotFound
	}
	p, err := l.api.Promote(ctx, promotion.PromoteRequest{Image: in.image, Digest: in.digest, Channel: "dev", Expect: in.expect, Reason: in.reason})
	switch kind := promotion.KindOf(err); kind {
	case "", promotion.KindConflict:
		return moved{kind: kind, previous: p.Previous, unchanged: p.Unchanged}, true
	case promotion.KindDenied, promotion.KindInvalid, promotion.KindNotFound, promotion.KindVerification:
		f.t.Errorf("promote %+v: %v", in, err)
		return moved{}, false
	}
	return moved{unknown: true}, true
}

// checkChannels looks whether the attempts fit one order, and the ledger.
func (f *fleet) checkChannels() {
	t := f.t
	t.Helper()
	ledger := map[string]map[string]promotion.Entry{}
	for image := range f.versions {
		ledger[image] = f.ledger(image)
	}
	var ops []porcupine.Operation
	acked := 0
	for _, op := range f.moves.ops {
		in, out := op.Input.(move), op.Output.(moved)
		e, there := ledger[in.image][in.reason]
		switch {
		case in.digest == "":
		case out.unknown && !there:
			continue // it did not happen
		case out.unknown: // it did, perhaps after the client gave up
			op.Output, op.Return = moved{previous: e.Previous}, math.MaxInt64
		case out.kind == "" && !out.unchanged:
			if acked++; !there || e.Previous != out.previous || e.Digest != in.digest {
				t.Errorf("%+v was acknowledged as %+v, the ledger has %+v", in, out, e)
			}
		case there:
			t.Errorf("%+v was answered with %+v, but is in the ledger", in, out)
		}
		ops = append(ops, op)
	}
	t.Logf("%d moves acknowledged, %d unknown, %d attempts and reads", acked, f.moves.unknown, len(ops))
	if acked < 8 {
		t.Errorf("%d moves: the test tests little", acked)
	}
	if got := porcupine.CheckOperationsTimeout(registerModel.ToModel(), ops, time.Minute); got != porcupine.Ok {
		t.Errorf("the history of the channels is not linearizable: %v", got)
	}
}

// ledger reads the whole ledger of an image by reason, and looks whether it is
// one chain in which each reason comes once.
func (f *fleet) ledger(image string) map[string]promotion.Entry {
	t := f.t
	t.Helper()
	by := map[string]promotion.Entry{}
	req := promotion.HistoryRequest{Image: image, Channel: "dev", Limit: promotion.MaxLimit}
	var newer *promotion.Entry
	for {
		page, err := f.any(t.Context()).api.History(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			if _, twice := by[e.Reason]; twice {
				t.Errorf("%s is twice in the ledger of %s", e.Reason, image)
			}
			if newer != nil && (newer.Previous != e.Digest || newer.Sequence != e.Sequence+1) {
				t.Errorf("%+v does not follow %+v", *newer, e)
			}
			newer, by[e.Reason] = &e, e
		}
		if req.Cursor = page.Next; req.Cursor == "" {
			return by
		}
	}
}

// TestRegisterModelBites: histories that no register has are found.
func TestRegisterModelBites(t *testing.T) {
	at := func(in move, out moved, call, ret int64) porcupine.Operation {
		in.image = "a/b"
		return porcupine.Operation{Input: in, Output: out, Call: call, Return: ret}
	}
	read := func(d digest.Digest, call, ret int64) porcupine.Operation {
		return at(move{}, moved{digest: d}, call, ret)
	}
	for what, c := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"promoted and read": {[]porcupine.Operation{at(move{digest: "x"}, moved{}, 0, 1), read("x", 2, 3)}, true},
		"lost":              {[]porcupine.Operation{at(move{digest: "x"}, moved{}, 0, 1), read("", 2, 3)}, false},
		"stale read": {[]porcupine.Operation{
			at(move{digest: "x"}, moved{}, 0, 1), at(move{digest: "y"}, moved{previous: "x"}, 2, 3), read("x", 4, 5),
		}, false},
		"two from one":      {[]porcupine.Operation{at(move{digest: "x"}, moved{}, 0, 3), at(move{digest: "y"}, moved{}, 0, 3)}, false},
		"unknown, happened": {[]porcupine.Operation{at(move{digest: "x"}, moved{unknown: true}, 0, 9), read("", 1, 2), read("x", 3, 4)}, true},
		"unknown, and back": {[]porcupine.Operation{at(move{digest: "x"}, moved{unknown: true}, 0, 9), read("x", 1, 2), read("", 3, 4)}, false},
		"expected another":  {[]porcupine.Operation{at(move{digest: "x", expect: "y"}, moved{}, 0, 1)}, false},
	} {
		if got := porcupine.CheckOperations(registerModel.ToModel(), c.ops); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

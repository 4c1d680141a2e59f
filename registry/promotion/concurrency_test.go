package promotion

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kiln/policy"

	"github.com/anishathalye/porcupine"
	"github.com/opencontainers/go-digest"
)

// input and output of one operation on a channel.
type chanInput struct {
	op     string // promote, rollback or resolve
	digest digest.Digest
	expect string
}

type chanOutput struct {
	kind      Kind
	digest    digest.Digest
	previous  digest.Digest
	unchanged bool
}

// channelModel is a channel as one process alone would see it. A conflict may
// come at any time, but then nothing happened.
var channelModel = porcupine.Model{
	Init: func() any { return model("") },
	Step: func(s, in, out any) (bool, any) {
		m, i, o := s.(model), in.(chanInput), out.(chanOutput)
		if o.kind == KindConflict {
			return true, m
		}
		switch i.op {
		case "resolve":
			return o.digest == m.current() && (o.kind == KindNotFound) == (m == ""), m
		case "rollback":
			if o.kind == KindNotFound {
				return m.back(nil) == "", m
			}
			return o.digest == m.back(nil) && o.previous == m.current(), m.rollback(nil)
		}
		fits := i.expect == "" || i.expect == string(m.current()) || i.expect == ExpectNone && m == ""
		if o.unchanged {
			return fits && m.current() == i.digest, m
		}
		return fits && o.kind == "" && o.previous == m.current() && m.current() != i.digest, m.promote(i.digest)
	},
	Equal: func(a, b any) bool { return a == b },
}

func (w *world) perform(s *Service, in chanInput) chanOutput {
	ctx := w.Context()
	var p Promotion
	var err error
	switch in.op {
	case "resolve":
		var r Resolution
		r, err = s.Resolve(ctx, ResolveRequest{Image: shop, Channel: "dev"})
		p.Digest = r.Digest
	case "rollback":
		p, err = s.Rollback(ctx, RollbackRequest{Image: shop, Channel: "dev"})
	default:
		p, err = s.Promote(ctx, PromoteRequest{Image: shop, Digest: in.digest, Channel: "dev", Expect: in.expect})
	}
	if KindOf(err) == KindInternal {
		w.Errorf("%+v: %v", in, err)
	}
	return chanOutput{kind: KindOf(err), digest: p.Digest, previous: p.Previous, unchanged: p.Unchanged}
}

// FAULTS 41: promotions and rollbacks at once, from several services as
// replicas have them, with another channel of the image moving all the while.
func TestChannelIsLinearizable(t *testing.T) {
	w := newWorld(t)
	open := w.open()
	var versions []digest.Digest
	for i := range 4 {
		versions = append(versions, w.image(shop, fmt.Sprint(i)).Digest)
	}
	w.service = w.with(func(c *Config) { c.Policy = open })
	w.to("staging", versions[0])
	var mu sync.Mutex
	var ops []porcupine.Operation
	var wg sync.WaitGroup
	start := time.Now()
	for client := range 4 {
		s := w.with(func(c *Config) { c.Policy = open })
		rnd := rand.New(rand.NewPCG(1, uint64(client)))
		wg.Go(func() {
			for range 15 {
				in := chanInput{op: []string{"promote", "promote", "rollback", "resolve"}[rnd.IntN(4)], digest: versions[rnd.IntN(4)]}
				if in.op == "promote" {
					in.expect = []string{"", "", ExpectNone, string(versions[rnd.IntN(4)])}[rnd.IntN(4)]
				}
				time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
				call := time.Since(start).Nanoseconds()
				out := w.perform(s, in)
				op := porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: time.Since(start).Nanoseconds()}
				mu.Lock()
				ops = append(ops, op)
				mu.Unlock()
			}
		})
	}
	stop := make(chan struct{})
	moves := make(chan model)
	go func() { moves <- w.moveStaging(open, versions, stop) }()
	wg.Wait()
	close(stop)
	staging := <-moves
	if result, _ := porcupine.CheckOperationsVerbose(channelModel, ops, 30*time.Second); result != porcupine.Ok {
		t.Fatalf("the history of the channel is not linearizable: %v\n%v", result, ops)
	}
	moved := 0
	for _, op := range ops {
		if o := op.Output.(chanOutput); o.kind == "" && op.Input.(chanInput).op != "resolve" && !o.unchanged {
			moved++
		}
	}
	if moved < 5 || len(staging.steps()) < 2 {
		t.Fatalf("dev moved %d times, staging %d: the test tests little", moved, len(staging.steps())-1)
	}
	w.checkLedger(t, map[string]model{"staging": staging})
}

// moveStaging moves another channel until stop: never a conflict.
func (w *world) moveStaging(open *policy.Policy, versions []digest.Digest, stop chan struct{}) model {
	s := w.with(func(c *Config) { c.Policy = open })
	m := model(versions[0])
	for i := 1; ; i++ {
		select {
		case <-stop:
			return m
		case <-time.After(20 * time.Millisecond):
		}
		d := versions[i%len(versions)]
		if _, err := s.Promote(w.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "staging"}); err != nil {
			w.Errorf("moving another channel: %v", err)
			return m
		}
		m = m.promote(d)
	}
}

// Two services promote the same version to the same channel: both succeed, one
// record counts.
func TestSamePromotionAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.image(shop, "a").Digest
	open := w.open()
	var wg sync.WaitGroup
	results := make([]Promotion, 4)
	for i := range results {
		s := w.with(func(c *Config) { c.Policy = open })
		wg.Go(func() {
			var err error
			if results[i], err = s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: a, Channel: "dev"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, p := range results {
		if p.Record != results[0].Record || p.Sequence != 1 {
			t.Errorf("%+v is not %+v", p, results[0])
		}
	}
	n := 0
	for _, err := range w.registry.Referrers(t.Context(), shop, a, RecordArtifactType) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d records are referrers: a loser's leftover counts", n)
	}
}

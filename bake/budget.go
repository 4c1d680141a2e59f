package bake

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Weights of what a bake does, in jobs. Installing packages unpacks on several
// cores: where there are many, it counts as two.
const (
	lightWork = 1
	heavyWork = 2
	manyJobs  = 4
)

// budget bounds how much a bake does at the same time. Memory is bounded where
// it is taken: see scratch.
type budget struct {
	jobs int64
	sem  *semaphore.Weighted
}

// newBudget allows jobs at once; one for each core if jobs is not positive.
func newBudget(jobs int) budget {
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	return budget{jobs: int64(jobs), sem: semaphore.NewWeighted(int64(jobs))}
}

// take waits for its turn. What was taken is given back by the returned
// function. Nobody may take twice at a time.
func (b budget) take(ctx context.Context, weight int64) (func(), error) {
	if b.jobs < manyJobs {
		weight = lightWork
	}
	if err := b.sem.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	return func() { b.sem.Release(weight) }, nil
}

// turns lets those who would make the same thing wait for one another, so that
// the second finds what the first made.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{}
}

// wait returns when nobody else is at key; the returned function ends the turn.
func (t *turns) wait(ctx context.Context, key string) (func(), error) {
	for {
		t.mu.Lock()
		other, taken := t.busy[key]
		if !taken {
			mine := make(chan struct{})
			if t.busy == nil {
				t.busy = map[string]chan struct{}{}
			}
			t.busy[key] = mine
			t.mu.Unlock()
			return func() { t.end(key, mine) }, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (t *turns) end(key string, mine chan struct{}) {
	t.mu.Lock()
	delete(t.busy, key)
	t.mu.Unlock()
	close(mine)
}

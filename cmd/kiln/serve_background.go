package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// task is work that a server does by itself, again and again. Replicas need no
// agreement about it: each task may run on several at once.
type task struct {
	name  string // a label of metrics
	every time.Duration
	run   func(ctx context.Context) error
}

// background runs tasks until ctx ends; wait returns when the last has ended.
func background(ctx context.Context, tasks []task, log *slog.Logger, m *serveMetrics) (wait func()) {
	var all sync.WaitGroup
	for _, t := range tasks {
		for _, result := range []string{"ok", "error"} {
			m.runs.WithLabelValues(t.name, result)
		}
		all.Go(func() { t.repeat(ctx, log, m) })
	}
	return all.Wait
}

// repeat runs a task at its pace, first after a part of it, so that replicas
// that start together part.
func (t task) repeat(ctx context.Context, log *slog.Logger, m *serveMetrics) {
	pause := rand.N(t.every/4 + 1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		t.once(ctx, log, m)
		pause = t.every - t.every/10 + rand.N(t.every/5+1)
	}
}

// once runs a task; what fails is tried again at the next time.
func (t task) once(ctx context.Context, log *slog.Logger, m *serveMetrics) {
	begin := time.Now()
	err := contained(ctx, t.run, m)
	m.runTimes.WithLabelValues(t.name).Observe(time.Since(begin).Seconds())
	switch {
	case err == nil:
		m.runs.WithLabelValues(t.name, "ok").Inc()
		m.lastSuccess.WithLabelValues(t.name).SetToCurrentTime()
	case ctx.Err() != nil: // the server ends
	default:
		m.runs.WithLabelValues(t.name, "error").Inc()
		log.Error("background task failed", "task", t.name, "err", err)
	}
}

// contained makes an error of a panic.
func contained(ctx context.Context, run func(context.Context) error, m *serveMetrics) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			m.panics.Inc()
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return run(ctx)
}

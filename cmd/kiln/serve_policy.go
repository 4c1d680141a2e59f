package main

import (
	"context"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"kiln/policy"
)

// servedPolicy is the policy of a server, loaded again when files that it is
// made of change. What is broken is not taken: the one before stays in force.
type servedPolicy struct {
	cfg     policyConfig
	log     *slog.Logger
	metrics *serveMetrics
	backend *backend
	current *policy.Policy
	seen    string    // what the files looked like when they were last read
	next    string    // what they looked like since, at the last look
	again   time.Time // when to try once more what was not taken; zero for nothing
}

// policyTimeout bounds how long loading it anew may take: bundles lie in the
// store.
const policyTimeout = time.Minute

// policyRetry is how long what was not taken rests until the next try: the files
// may be right, and the disk or the store did not answer.
const policyRetry = time.Minute

// watchPolicy says what the files look like before they are read the first time.
func watchPolicy(cfg policyConfig, log *slog.Logger, m *serveMetrics) *servedPolicy {
	return &servedPolicy{cfg: cfg, log: log, metrics: m, seen: policyMarks(cfg.files)}
}

// reload reads the files again if they look different and are left alone since
// the last look, so that nobody's half of a change is in force, or if it must.
// Not safe for concurrent use.
func (p *servedPolicy) reload(ctx context.Context, must bool) {
	if len(p.cfg.files) == 0 {
		return // the rest is in the configuration, or named by its digest
	}
	marks := policyMarks(p.cfg.files)
	if !must && !p.due(marks) {
		p.next = marks
		return
	}
	bounded, cancel := context.WithTimeout(ctx, policyTimeout)
	defer cancel()
	loaded, err := p.cfg.composeIn(bounded, p.backend.storage)
	if ctx.Err() != nil {
		return // the server ends
	}
	if now := policyMarks(p.cfg.files); now != marks {
		p.next = now
		return // it changed while it was read
	}
	p.seen, p.again = marks, time.Time{}
	if err != nil {
		p.again = time.Now().Add(policyRetry)
		p.metrics.policies.WithLabelValues("error").Inc()
		p.log.Error("policy not loaded; the one before stays in force", "digest", p.current.Digest(), "err", err)
		return
	}
	p.take(loaded)
}

// due tells whether files that look like marks are to be read.
func (p *servedPolicy) due(marks string) bool {
	if marks == p.seen {
		return !p.again.IsZero() && time.Now().After(p.again)
	}
	return marks == p.next
}

// take puts a policy in force.
func (p *servedPolicy) take(loaded *policy.Policy) {
	p.metrics.policies.WithLabelValues("ok").Inc()
	if loaded.Digest() == p.current.Digest() {
		p.log.Info("policy loaded; it is the same", "digest", loaded.Digest())
		return
	}
	p.current = loaded
	p.backend.service.SetPolicy(loaded)
	p.log.Info("policy loaded: it gates promotions from now on", "digest", loaded.Digest())
}

// policyMarks is a text that changes when one of a policy's files does, or
// another one comes or goes; what else lies in their folders may change.
func policyMarks(paths []string) string {
	var files []string
	for _, path := range paths {
		bound := len(files) + maxPolicyFiles // more of one path is refused
		// What cannot be read looks like nothing; reading it will say why.
		_ = filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || len(files) > bound:
				return fs.SkipAll
			case e.IsDir() && at != path && strings.HasPrefix(e.Name(), "."):
				return fs.SkipDir
			case !e.IsDir() && (at == path || isPolicyFile(e.Name())):
				files = append(files, at)
			}
			return nil
		})
	}
	return fileMarks(files...)
}

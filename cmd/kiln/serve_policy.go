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
	seen    string // what the files looked like when they were last read
	next    string // what they looked like since, at the last look
}

// policyTimeout bounds how long loading it anew may take: bundles lie in the
// store.
const policyTimeout = time.Minute

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
	if !must && (marks == p.seen || marks != p.next) {
		p.next = marks
		return
	}
	ctx, cancel := context.WithTimeout(ctx, policyTimeout)
	defer cancel()
	loaded, err := p.cfg.composeIn(ctx, p.backend.storage)
	if now := policyMarks(p.cfg.files); now != marks && !must {
		p.next = now
		return // it changed while it was read
	}
	p.seen = marks
	switch {
	case err != nil:
		p.metrics.policies.WithLabelValues("error").Inc()
		p.log.Error("policy not loaded; the one before stays in force", "digest", p.current.Digest(), "err", err)
		return
	case loaded.Digest() == p.current.Digest():
		p.log.Info("policy loaded; it is the same", "digest", loaded.Digest())
	default:
		p.use(loaded)
		p.log.Info("policy loaded: it gates promotions from now on", "digest", loaded.Digest())
	}
	p.metrics.policies.WithLabelValues("ok").Inc()
}

func (p *servedPolicy) use(next *policy.Policy) {
	p.current = next
	p.backend.service.SetPolicy(next)
}

// policyMarks is a text that changes when one of a policy's files does, or
// another one comes or goes.
func policyMarks(paths []string) string {
	var files []string
	for _, path := range paths {
		files = append(files, path)
		// What cannot be read looks like nothing; reading it will say why.
		_ = filepath.WalkDir(path, func(at string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || len(files) > maxPolicyFiles:
				return fs.SkipAll
			case e.IsDir() && at != path && strings.HasPrefix(e.Name(), "."):
				return fs.SkipDir
			case !e.IsDir() && at != path && isPolicyFile(e.Name()):
				files = append(files, at)
			}
			return nil
		})
	}
	return fileMarks(files...)
}

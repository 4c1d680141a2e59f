package promotion

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/store"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// Lifetimes of a channel statement.
const (
	ServerLifetime   = 24 * time.Hour      // a server issues anew at half of it
	EmbeddedLifetime = 30 * 24 * time.Hour // until someone renews
)

// Config is what New needs. Nothing in it has a default that allows more.
type Config struct {
	Store    store.Store
	Pointers store.Pointers
	// Registry is over the same store, without Channels around it.
	Registry registry.Registry
	// Signer signs records and statements; without one nothing moves, and
	// statements are handed out as they are stored.
	Signer *sign.Signer
	// Policy gates every promotion; without one nothing is promoted.
	Policy *policy.Policy
	// Channels in the order they are passed; DefaultChannels if empty.
	Channels []string
	// Lifetime of a statement; EmbeddedLifetime if zero.
	Lifetime time.Duration
	// Retention says which versions stay; without rules all do.
	Retention []RetentionRule
	// Collector removes what nothing reaches; without one Collect is refused.
	Collector Collector
	Now       func() time.Time // time.Now if nil
	Log       *slog.Logger     // silent if nil
}

// DefaultChannels are the channels of a store that is not told others.
func DefaultChannels() []string { return []string{"dev", "staging", "prod"} }

// Service implements Operations over a store. Safe for concurrent use, also by
// several processes and replicas over one store.
type Service struct {
	store     store.Store
	pointers  store.Pointers
	registry  registry.Registry
	signer    *sign.Signer
	policy    atomic.Pointer[policy.Policy] // each decision reads it once
	channels  []string
	lifetime  time.Duration
	rules     []RetentionRule
	collector Collector
	now       func() time.Time
	log       *slog.Logger
	id        atomic.Pointer[string] // of the store, once read
	lines     lineMemory
	checks    chan struct{} // holds a place for each Check that runs
}

var _ Operations = (*Service)(nil)

// New checks cfg and reads nothing.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Pointers == nil || cfg.Registry == nil {
		return nil, errors.New("promotion: store, pointers and registry are required")
	}
	s := &Service{
		store: cfg.Store, pointers: cfg.Pointers, registry: cfg.Registry, signer: cfg.Signer,
		channels: slices.Clone(cfg.Channels), lifetime: cfg.Lifetime,
		rules: slices.Clone(cfg.Retention), collector: cfg.Collector, now: cfg.Now, log: cfg.Log,
		checks: make(chan struct{}, maxChecks),
	}
	s.policy.Store(cfg.Policy)
	if err := checkRules(s.rules); err != nil {
		return nil, fmt.Errorf("promotion: %w", err)
	}
	if len(s.channels) == 0 {
		s.channels = DefaultChannels()
	}
	if s.lifetime == 0 {
		s.lifetime = EmbeddedLifetime
	}
	if s.lifetime < time.Minute {
		return nil, fmt.Errorf("promotion: a statement's lifetime of %v is less than a minute", s.lifetime)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for i, c := range s.channels {
		if registry.CheckTag(c) != nil || registry.IsVersionTag(c) || slices.Contains(s.channels[:i], c) {
			return nil, fmt.Errorf("promotion: channel %q is no tag, a version tag or there twice", c)
		}
	}
	return s, nil
}

// Policy is what gates promotions now; nil for nothing, which denies all.
func (s *Service) Policy() *policy.Policy { return s.policy.Load() }

// SetPolicy has another policy gate promotions from now on. What is being
// decided ends under the policy that it began with.
func (s *Service) SetPolicy(p *policy.Policy) { s.policy.Store(p) }

// ChannelNames are the configured channels, in the order they are passed.
func (s *Service) ChannelNames() []string { return slices.Clone(s.channels) }

// StoreID is the id of the store, for statements and records.
func (s *Service) StoreID(ctx context.Context) (string, error) {
	if id := s.id.Load(); id != nil {
		return *id, nil
	}
	f, err := store.ReadFormat(ctx, s.pointers)
	if err != nil {
		return "", err
	}
	s.id.Store(&f.StoreID)
	return f.StoreID, nil
}

// checkChannel refuses malformed names and channels that are not configured.
func (s *Service) checkChannel(image, channel string) error {
	if err := checkImage(image); err != nil {
		return err
	}
	if !slices.Contains(s.channels, channel) {
		return errorf(KindNotFound, "no channel %q; there are %v", clip(channel), s.channels)
	}
	return nil
}

func checkImage(image string) error {
	if err := registry.CheckName(image); err != nil {
		return errorf(KindInvalid, "%w", err)
	}
	return nil
}

func checkDigest(d digest.Digest) error {
	if err := registry.CheckDigest(d); err != nil {
		return errorf(KindInvalid, "%w", err)
	}
	return nil
}

// clip keeps a hostile value from flooding a message.
func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

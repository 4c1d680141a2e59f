package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/promotion"
)

// Gate knows who asks and lets through what they may do. Safe for concurrent
// use.
type Gate struct {
	url       string
	anonymous []Grant
	users     *users // nil for none
	robots    *Robots
	issuers   []*issuer
	sessions  *sessions
	failures  *failures
	proxies   []netip.Prefix
	now       func() time.Time
	log       *slog.Logger
}

// New makes a gate. It refuses a config that is incomplete or means nothing,
// and reads the htpasswd file; issuers are asked when their first token comes.
func New(_ context.Context, cfg Config) (*Gate, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	g := &Gate{
		url: strings.TrimSuffix(cfg.URL, "/"), proxies: cfg.TrustedProxies, now: cfg.Now, log: cfg.Log,
		failures: newFailures(),
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.AnonymousPull) > 0 {
		g.anonymous = []Grant{{Images: slices.Clone(cfg.AnonymousPull), Verbs: []Verb{Pull}}}
	}
	g.robots = &Robots{pointers: cfg.Pointers, now: g.now}
	key := cfg.SessionKey
	if len(key) == 0 {
		key = make([]byte, MinSessionKey)
		rand.Read(key) // never fails
	}
	var err error
	if g.sessions, err = newSessions(key, g.now); err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	if cfg.Htpasswd != "" {
		if g.users, err = openUsers(cfg.Htpasswd, cfg.Users, g.now, g.log); err != nil {
			return nil, fmt.Errorf("access: %w", err)
		}
	}
	for _, i := range cfg.Issuers {
		g.issuers = append(g.issuers, newIssuer(i, g.now))
	}
	return g, nil
}

// Registry guards reg. What may not be done is CodeUnauthorized for strangers
// and CodeDenied for others.
func (g *Gate) Registry(reg registry.Registry) registry.Registry { return &guardedRegistry{reg: reg} }

// Operations guards ops: KindUnauthenticated for strangers, KindDenied for
// others.
func (g *Gate) Operations(ops promotion.Operations) promotion.Operations {
	return &guardedOperations{ops: ops}
}

// Tokens guards the robot tokens of the store: they are an admin's.
func (g *Gate) Tokens() promotion.Tokens { return &guardedTokens{tokens: g.robots} }

// MayPull says whether who asks may pull an image: for answers that name one
// that was not asked for.
func (g *Gate) MayPull(ctx context.Context, image string) bool {
	return judge(ctx, Pull, image, "") == granted
}

// MayPush says whether who asks may add a manifest to an image, at least one
// with a subject: for what is to be decided before there is one.
func (g *Gate) MayPush(ctx context.Context, image string) bool { return mayAdd(ctx, image) == nil }

// verdict is what comes of a question.
type verdict int

const (
	denied          verdict = iota // known, and may not
	granted                        //
	unauthenticated                // says who it is, and perhaps it may
	narrowed                       // may, but not with this session
)

// judge says whether the identity of ctx may do verb; see allows.
func judge(ctx context.Context, verb Verb, image, channel string) verdict {
	id, ok := From(ctx)
	switch {
	case !ok:
		return unauthenticated
	case !allows(id.Grants, verb, image, channel):
		if id.Anonymous {
			return unauthenticated
		}
		return denied
	case id.narrow != nil && !id.narrow.permit(verb, image):
		return narrowed
	}
	return granted
}

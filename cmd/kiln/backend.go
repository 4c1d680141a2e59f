package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/access"
	"kiln/registry/contentstore"
	"kiln/registry/promotion"
	"kiln/sign"
)

// backend is an open store: embedded in a folder, or a server.
type backend struct {
	registry registry.Registry // with channels as tags
	ops      promotion.Operations
	tokens   promotion.Tokens // robot tokens
	versions versionFinder
	admit    admission
	mayAdmit func(context.Context) error                               // asks a server whether admit may record a first key; nil when embedded
	channels func(ctx context.Context, image string) ([]string, error) // that can be moved; none if unknown
	promoter *sign.Signer                                              // signs records here; nil on a server, or if there is none yet
	host     string                                                    // of a server, for references; "" when embedded
	content  *contentstore.Registry
	service  *promotion.Service // of an embedded store, without wrappers
	storage  storage            // of an embedded store
	dir      string             // of an embedded store in a folder
}

// versionFinder tells the version tags of a digest.
type versionFinder interface {
	TagsOf(ctx context.Context, image string, d digest.Digest) ([]string, error)
}

// bakedVersions tells the version tags of a digest, and no other tags of it:
// all that a bake asks for.
type bakedVersions struct{ *contentstore.Registry }

// TagsOf implements versionFinder.
func (v bakedVersions) TagsOf(ctx context.Context, image string, d digest.Digest) ([]string, error) {
	return v.VersionTagsOf(ctx, image, d)
}

// baked is what bakes find their versions with.
func (b *backend) baked() versionFinder {
	if b.content == nil {
		return b.versions
	}
	return bakedVersions{b.content}
}

// admission asks whether a key may bake an image. The first key of a store
// whose trust is empty for the role is recorded, which recorded tells.
type admission func(ctx context.Context, key *sign.Signer, image string) (recorded bool, err error)

// purpose says what a command is about to do.
type purpose struct {
	create       bool   // make the store if it is missing
	promote      bool   // sign records
	promotionKey string // --promotion-key
	policy       string // --policy
}

// Close lets go of the store.
func (b *backend) Close() error { return b.storage.Close() }

// open opens the store that --store names.
func (a *app) open(ctx context.Context, use purpose) (*backend, error) {
	location := a.store
	switch {
	case strings.HasPrefix(location, "http://"), strings.HasPrefix(location, "https://"):
		if use.policy != "" {
			return nil, usagef("--policy is for embedded stores: a server has its own (kiln policy check asks it)")
		}
		if use.promotionKey != "" {
			a.say("warning: --promotion-key does nothing here: a server signs records with its own key")
		}
		return a.openServer(ctx, location)
	case location == "":
		dir, err := a.dataDir()
		if err != nil {
			return nil, err
		}
		location = dir
	}
	return a.openEmbedded(ctx, location, use)
}

// openEmbedded opens the store in a folder or a bucket.
func (a *app) openEmbedded(ctx context.Context, location string, use purpose) (*backend, error) {
	var signer *sign.Signer
	if use.promote {
		var err error
		if signer, err = a.moverOf(ctx, location, use.promotionKey); err != nil {
			return nil, err
		}
	}
	st, err := a.openStorage(ctx, location, use.create)
	if err != nil {
		return nil, err
	}
	o := backendOptions{signer: signer, lifetime: promotion.EmbeddedLifetime}
	if use.promote {
		o.policy, err = a.gate(ctx, use.policy, st)
	}
	if err != nil {
		return nil, withClose(err, st)
	}
	b, err := buildBackend(st, o)
	if err != nil {
		return nil, withClose(err, st)
	}
	if use.promote && signer == nil {
		b.ops = &keyOnDemand{Operations: b.ops, keyed: func(ctx context.Context) (promotion.Operations, error) { return a.keyed(ctx, st, o) }}
	}
	return b, nil
}

// withClose closes what is of no use after err, and keeps its hints.
func withClose(err error, c io.Closer) error {
	if other := c.Close(); other != nil {
		return errors.Join(err, other)
	}
	return err
}

// moverOf loads the key that signs records in an embedded store; nil if one
// may be made when it is needed. A bucket is shared: what moves its channels
// is named, and not made on the way.
func (a *app) moverOf(ctx context.Context, location, flag string) (*sign.Signer, error) {
	if !inBucket(location) {
		return a.promotionSigner(ctx, flag)
	}
	path := firstOf(flag, a.getenv("KILN_PROMOTION_KEY"))
	if path == "" {
		return nil, withHint(exitDenied, errors.New("no promotion key: in a bucket channels move only with one that is named"),
			"give --promotion-key FILE or KILN_PROMOTION_KEY; kiln keygen makes a key")
	}
	return a.loadKey(ctx, path)
}

// keyed makes a promotion key and opens the same store with it.
func (a *app) keyed(ctx context.Context, st storage, o backendOptions) (promotion.Operations, error) {
	var err error
	if o.signer, err = a.makePromotionKey(ctx); err != nil {
		return nil, err
	}
	b, err := buildBackend(st, o)
	if err != nil {
		return nil, err
	}
	return b.ops, nil
}

// openIfThere opens the store for reading. Where there is none yet the backend
// is empty: it has neither registry nor operations.
func (a *app) openIfThere(ctx context.Context) (*backend, error) {
	b, err := a.open(ctx, purpose{})
	if err != nil && exitCode(err) == exitNotFound {
		return &backend{}, nil
	}
	return b, err
}

// backendOptions say how a store is used.
type backendOptions struct {
	signer    *sign.Signer              // signs records and statements; nil moves nothing
	policy    *policy.Policy            // gates promotions; the built-in one if nil
	lifetime  time.Duration             // of statements
	channels  []string                  // the default ones if empty
	retention []promotion.RetentionRule // of collections; without rules every version stays
	content   contentstore.Options
	log       *slog.Logger // silent if nil
}

// newBackend puts registry and promotion over a store.
func newBackend(st storage, signer *sign.Signer, lifetime time.Duration) (*backend, error) {
	return buildBackend(st, backendOptions{signer: signer, lifetime: lifetime})
}

func buildBackend(st storage, o backendOptions) (*backend, error) {
	content := contentstore.New(st.Store, st.Pointers, o.content)
	if o.policy == nil {
		o.policy = policy.Default()
	}
	service, err := promotion.New(promotion.Config{
		Store: st.Store, Pointers: st.Pointers, Registry: content, Signer: o.signer, Policy: o.policy,
		Lifetime: o.lifetime, Channels: o.channels, Retention: o.retention, Collector: collector{content: content, log: o.log}, Log: o.log,
	})
	if err != nil {
		return nil, err
	}
	return &backend{
		registry: promotion.Channels(content, service),
		ops:      service,
		tokens:   access.NewRobots(st.Pointers, nil),
		versions: content,
		admit: func(ctx context.Context, key *sign.Signer, image string) (bool, error) {
			return service.Admit(ctx, promotion.RoleBake, key.PublicPEM(), image, key.KeyID(), true)
		},
		channels: func(context.Context, string) ([]string, error) { return service.ChannelNames(), nil },
		promoter: o.signer,
		content:  content,
		service:  service,
		storage:  st,
		dir:      st.dir,
	}, nil
}

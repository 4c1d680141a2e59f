package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/promotion"
	"kiln/registry/store"
	"kiln/registry/store/filestore"
	"kiln/sign"
)

// backend is an open store: embedded in a folder, or a server.
type backend struct {
	registry registry.Registry // with channels as tags
	ops      promotion.Operations
	versions versionFinder
	admit    admission
	channels func(ctx context.Context, image string) ([]string, error) // that can be moved; none if unknown
	promoter *sign.Signer                                              // signs records here; nil on a server, or if there is none yet
	host     string                                                    // of a server, for references; "" when embedded
	content  *contentstore.Registry
	service  *promotion.Service // of an embedded store, without wrappers
	storage  storage            // of an embedded store
	dir      string             // of an embedded store in a folder
}

// storage is the two halves of an embedded store.
type storage struct {
	store.Store
	Pointers store.Pointers
	location string // as --store says it
	dir      string // of a folder, else ""
}

func folder(files *filestore.Store, dir string) storage {
	return storage{Store: files, Pointers: files.Pointers(), location: dir, dir: dir}
}

// versionFinder tells the version tags of a digest.
type versionFinder interface {
	TagsOf(ctx context.Context, image string, d digest.Digest) ([]string, error)
}

// admission asks whether a key may bake an image. The first key of a store
// whose trust is empty for the role is recorded, which recorded tells.
type admission func(ctx context.Context, key *sign.Signer, image string) (recorded bool, err error)

// purpose says what a command is about to do.
type purpose struct {
	create       bool   // make the store if it is missing
	promote      bool   // sign records
	promotionKey string // --promotion-key
}

// Close lets go of the store.
func (b *backend) Close() error { return nil }

// open opens the store that --store names.
func (a *app) open(ctx context.Context, use purpose) (*backend, error) {
	location := a.store
	switch {
	case strings.HasPrefix(location, "http://"), strings.HasPrefix(location, "https://"):
		return a.openServer(ctx, location)
	case strings.Contains(location, "://"):
		return nil, usagef("--store %s: this kiln opens folders and http(s):// servers", location)
	}
	if location == "" {
		dir, err := a.dataDir()
		if err != nil {
			return nil, err
		}
		location = dir
	}
	return a.openFolder(ctx, location, use)
}

// openFolder opens an embedded store.
func (a *app) openFolder(ctx context.Context, dir string, use purpose) (*backend, error) {
	files, err := filestore.Open(ctx, dir, filestore.Options{Create: use.create})
	if errors.Is(err, store.ErrNotFound) {
		return nil, withHint(exitNotFound, fmt.Errorf("there is no store in %s", dir), "kiln bake makes one; --store names another")
	}
	if err != nil {
		return nil, err
	}
	if !use.promote {
		return newBackend(folder(files, dir), nil, promotion.EmbeddedLifetime)
	}
	signer, err := a.promotionSigner(use.promotionKey)
	if err != nil {
		return nil, err
	}
	b, err := newBackend(folder(files, dir), signer, promotion.EmbeddedLifetime)
	if err != nil || signer != nil {
		return b, err
	}
	b.ops = &keyOnDemand{Operations: b.ops, keyed: func() (promotion.Operations, error) {
		signer, err := a.makePromotionKey()
		if err != nil {
			return nil, err
		}
		keyed, err := newBackend(folder(files, dir), signer, promotion.EmbeddedLifetime)
		if err != nil {
			return nil, err
		}
		return keyed.ops, nil
	}}
	return b, nil
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
	signer   *sign.Signer  // signs records and statements; nil moves nothing
	lifetime time.Duration // of statements
	channels []string      // the default ones if empty
	content  contentstore.Options
	log      *slog.Logger // silent if nil
}

// newBackend puts registry and promotion over a store.
func newBackend(st storage, signer *sign.Signer, lifetime time.Duration) (*backend, error) {
	return buildBackend(st, backendOptions{signer: signer, lifetime: lifetime})
}

func buildBackend(st storage, o backendOptions) (*backend, error) {
	content := contentstore.New(st.Store, st.Pointers, o.content)
	service, err := promotion.New(promotion.Config{
		Store: st.Store, Pointers: st.Pointers, Registry: content, Signer: o.signer, Policy: policy.Default(),
		Lifetime: o.lifetime, Channels: o.channels, Log: o.log,
	})
	if err != nil {
		return nil, err
	}
	return &backend{
		registry: promotion.Channels(content, service),
		ops:      service,
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

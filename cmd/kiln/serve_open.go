package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"

	"kiln/registry/access"
	"kiln/registry/contentstore"
	"kiln/registry/promotion"
	"kiln/registry/store"
	"kiln/sign"
)

// checkOpen refuses addresses that others reach where this server would ask
// nobody who they are, or have them send their secrets in the clear.
func (cfg serveConfig) checkOpen() error {
	if _, _, err := net.SplitHostPort(cfg.listen); err != nil {
		return usagef("--listen %s: want host:port", cfg.listen)
	}
	switch {
	case isLoopback(cfg.listen):
		return nil
	case cfg.auth == nil:
		return withHint(exitError, fmt.Errorf("--listen %s: refusing to serve beyond loopback without authentication", cfg.listen),
			"add an auth block to the file of --config (docs/serve.md), or listen on 127.0.0.1")
	case cfg.tls == nil && !cfg.insecureHTTP:
		return withHint(exitError, fmt.Errorf("--listen %s: refusing passwords and tokens over plain HTTP", cfg.listen),
			"add a tls block, or set insecure_http = true where a proxy in front speaks TLS")
	}
	return nil
}

// isLoopback tells whether only this machine reaches an address.
func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// scheme is how clients speak to this server itself.
func (cfg serveConfig) scheme() string {
	if cfg.tls != nil {
		return "https"
	}
	return "http"
}

// openServed opens the store of a server. Its promotion key, where it has one,
// is recorded in a trust that has none; without one nothing is promoted.
func (a *app) openServed(ctx context.Context, cfg serveConfig, log *slog.Logger, m *serveMetrics) (*backend, error) {
	if strings.HasPrefix(cfg.store, "http://") || strings.HasPrefix(cfg.store, "https://") {
		return nil, usagef("--store %s: serve takes a folder or s3://BUCKET/PREFIX, not another server", cfg.store)
	}
	st, err := a.openStorage(ctx, cfg.store, true)
	if err != nil {
		return nil, err
	}
	if st.dir != "" {
		watchDisk(m, st.dir)
	}
	b, err := a.servedBackend(ctx, cfg, st, log, m)
	if err != nil {
		return nil, withClose(err, st)
	}
	return b, nil
}

func (a *app) servedBackend(ctx context.Context, cfg serveConfig, st storage, log *slog.Logger, m *serveMetrics) (*backend, error) {
	signer, err := a.loadKey(ctx, cfg.promotionKey)
	if err != nil {
		return nil, err
	}
	if signer == nil {
		log.Warn("no promotion key: channels can be read and not moved; give --promotion-key or KILN_PROMOTION_KEY")
	}
	if len(cfg.retention) > 0 && cfg.collection.every == 0 {
		log.Warn("retention without a collection block: " + unusedRetention)
	}
	gate, err := cfg.policy.composeIn(ctx, st)
	if err != nil {
		return nil, err
	}
	log.Info("policy that gates promotions", "digest", gate.Digest())
	b, err := buildBackend(metered(st, m), backendOptions{
		signer: signer, policy: gate, lifetime: promotion.ServerLifetime, channels: cfg.channels, retention: cfg.retention, log: log,
		content: contentstore.Options{UploadLifetime: cfg.uploads.lifetime, Owner: access.Owner},
	})
	if err != nil || signer == nil {
		return b, err
	}
	err = admitPromoter(ctx, b, signer, log)
	if errors.Is(err, store.ErrReadOnly) {
		log.Warn("the store takes no writes: it is served for reading", "err", err)
		err = nil
	}
	return b, err
}

// admitPromoter records the server's promotion key if it is the first.
func admitPromoter(ctx context.Context, b *backend, signer *sign.Signer, log *slog.Logger) error {
	recorded, err := b.service.Admit(ctx, promotion.RolePromote, signer.PublicPEM(), promotion.EveryImage, signer.KeyID(), true)
	switch {
	case recorded:
		log.Info("first promotion key of this store: recorded in its trust", "key", signer.KeyID())
	case promotion.KindOf(err) == promotion.KindDenied:
		return nil // listed for some images only: each promotion asks
	}
	return err
}

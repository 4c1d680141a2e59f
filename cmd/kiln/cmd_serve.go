package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kiln/registry/ociserver"
	"kiln/registry/promotion"
	"kiln/registry/promotionhttp"
	"kiln/registry/store/filestore"
	"kiln/sign"
)

// serveOptions are the flags of kiln serve.
type serveOptions struct {
	listen       string
	promotionKey string
}

// shutdownTime is how long running requests may take to finish.
const shutdownTime = 30 * time.Second

func (a *app) serveCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the store: /v2/ for every OCI client, /api/v1 for channels",
		Long: "serve opens the store to other programs on this machine: crane, skopeo, cosign, oras and curl\n" +
			"work against it, and kiln itself with --store http://HOST:PORT. It listens on loopback only.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:5000", "address to listen on; port 0 takes a free one")
	cmd.Flags().StringVar(&o.promotionKey, "promotion-key", "", "private key that signs records and statements (KILN_PROMOTION_KEY)")
	return cmd
}

func (a *app) serve(ctx context.Context, o serveOptions) error {
	if err := checkLoopback(o.listen); err != nil {
		return err
	}
	b, err := a.openServed(ctx, o)
	if err != nil {
		return err
	}
	defer b.Close()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(a.err, nil))
	handler, err := routes(b, log)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           promotionhttp.Loopback(handler),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	fmt.Fprintf(a.out, "http://%s\n", listener.Addr())
	return serveUntil(ctx, server, listener)
}

// serveUntil serves until ctx ends and then lets running requests finish.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return fmt.Errorf("shut down: %w", err)
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// openServed opens the store of a server. Its promotion key, where it has one,
// is recorded in a trust that has none; without one nothing is promoted.
func (a *app) openServed(ctx context.Context, o serveOptions) (*backend, error) {
	dir := a.store
	if dir == "" {
		var err error
		if dir, err = a.dataDir(); err != nil {
			return nil, err
		}
	}
	if strings.Contains(dir, "://") {
		return nil, usagef("--store %s: this kiln serves folders", dir)
	}
	files, err := filestore.Open(ctx, dir, filestore.Options{Create: true})
	if err != nil {
		return nil, err
	}
	signer, err := a.loadKey(firstOf(o.promotionKey, a.getenv("KILN_PROMOTION_KEY")))
	if err != nil {
		return nil, err
	}
	if signer == nil {
		a.say("no promotion key: channels can be read and not moved (--promotion-key or KILN_PROMOTION_KEY)")
	}
	b, err := newBackend(folder(files, dir), signer, promotion.ServerLifetime)
	if err != nil || signer == nil {
		return b, err
	}
	return b, a.admitPromoter(ctx, b, signer)
}

// admitPromoter records the server's promotion key if it is the first.
func (a *app) admitPromoter(ctx context.Context, b *backend, signer *sign.Signer) error {
	recorded, err := b.service.Admit(ctx, promotion.RolePromote, signer.PublicPEM(), promotion.EveryImage, signer.KeyID(), true)
	switch {
	case recorded:
		a.say("first promotion key of this store: recorded %s in its trust", signer.KeyID())
	case promotion.KindOf(err) == promotion.KindDenied:
		return nil // listed for some images only: each promotion asks
	}
	return err
}

// routes puts everything that serve answers behind one handler.
func routes(b *backend, log *slog.Logger) (http.Handler, error) {
	api, err := promotionhttp.New(promotionhttp.Config{Operations: b.ops, Log: log})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/v2/", ociserver.New(b.registry, ociserver.Options{Log: log, FindBlob: findBlob(b.content, b.registry)}))
	mux.Handle(promotionhttp.BasePath, api)
	mux.Handle(promotionhttp.OpenAPIPath, api)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := b.ops.Trust(r.Context()); err != nil {
			log.Error("not ready", "err", err)
			http.Error(w, "the store does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux, nil
}

// checkLoopback refuses addresses that others reach: this server asks nobody
// who they are.
func checkLoopback(listen string) error {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return usagef("--listen %s: want host:port", listen)
	}
	if addr, err := netip.ParseAddr(host); host == "localhost" || (err == nil && addr.IsLoopback()) {
		return nil
	}
	return withHint(exitError, fmt.Errorf("--listen %s: refusing to serve beyond loopback without authentication", listen),
		"listen on 127.0.0.1 and put a tunnel that authenticates in front")
}

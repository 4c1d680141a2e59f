package main

import (
	"context"
	"net/http"
	"net/http/pprof"
	"net/url"

	"github.com/opencontainers/go-digest"

	"kiln/registry/access"
	"kiln/registry/ociserver"
	"kiln/registry/promotionhttp"
	"kiln/registry/store"
)

// handler puts everything that the main address answers behind one handler:
//
//	observe, trace, limit, guard an open server, then by path;
//	/v2/ and /api/v1 behind the gate.
func (s *server) handler() (http.Handler, error) {
	registry, err := s.registryHandler()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, healthz)
	mux.Handle("GET "+readyPath, s.ready)
	mux.Handle("GET "+metricsPath, s.scrapes())
	mux.Handle("/", registry)
	h := ociFirst(registry, mux)
	if s.gate == nil {
		h = promotionhttp.Loopback(h)
	}
	return s.watch.handler(traced(limited(h, s.cfg.limits), s.tracing)), nil
}

// registryHandler is /v2/ and /api/v1, each asking what its caller may do.
func (s *server) registryHandler() (http.Handler, error) {
	reg, ops := s.backend.registry, s.backend.ops
	ops = newMeteredOperations(ops, s.metrics, s.backend.service.ChannelNames())
	if s.cfg.limits.body > 0 {
		reg = &boundedBlobs{Registry: reg, max: s.cfg.limits.body}
	}
	audit := access.NewAudit(s.audit, func(ctx context.Context) string { return requestOf(ctx).id })
	cfg := promotionhttp.Config{
		Host: s.host(), Log: s.log,
		Identity: func(r *http.Request) string { return access.Owner(r.Context()) },
	}
	if s.gate != nil {
		reg, ops = s.gate.Registry(reg), s.gate.Operations(ops)
		cfg.Tokens = audit.Tokens(s.gate.Tokens())
	}
	reg, cfg.Operations = audit.Registry(reg), audit.Operations(ops)
	api, err := promotionhttp.New(cfg)
	if err != nil {
		return nil, err
	}
	var mayPush func(context.Context, string) bool
	if s.gate != nil {
		mayPush = s.gate.MayPush
	}
	mux := http.NewServeMux()
	limits := s.cfg.limits
	oci := ociserver.New(reg, ociserver.Options{
		Log: s.log, MayPush: mayPush, FindBlob: findBlob(s.backend.content, reg), Redirect: s.redirect(), Parsed: parsedBefore,
		MaxTransfers: limits.uploads, MaxUploads: limits.openUploads, CountUploads: s.backend.content.CountUploads, MaxHeaderBytes: limits.header, IdleTimeout: limits.idle,
	})
	mux.Handle("/v2/", oci)
	mux.Handle(promotionhttp.BasePath, api)
	mux.Handle(promotionhttp.OpenAPIPath, api)
	if s.gate != nil {
		return s.gate.Handler(ociFirst(oci, mux)), nil
	}
	return ociFirst(oci, mux), nil
}

// ociFirst spares requests to /v2/ that are well-formed the search by path.
func ociFirst(oci, other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requestOf(r.Context()).oci.Kind != 0 {
			oci.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// parsedBefore is what the observer has read of a request to /v2/.
func parsedBefore(r *http.Request) (ociserver.Request, error) {
	if q := requestOf(r.Context()); q.oci.Kind != 0 || q.ociErr != nil {
		return q.oci, q.ociErr
	}
	return ociserver.Parse(r.Method, r.URL)
}

// host is what references name, "" for the Host that a client asks.
func (s *server) host() string {
	if u, err := url.Parse(s.cfg.url); err == nil {
		return u.Host
	}
	return ""
}

// scrapes is /metrics on the main address: open to this machine, and otherwise
// to who has the secret.
func (s *server) scrapes() http.Handler {
	switch m := s.cfg.metrics; {
	case m.listen != "" || s.gate != nil && m.token == "":
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "metrics are not here: the metrics block of the configuration gives them an address or a token", http.StatusNotFound)
		})
	case m.token != "":
		return withSecret(m.token, s.log, s.metrics.handler())
	}
	return s.metrics.handler()
}

// metricsHandler is what the address of the metrics block answers.
func (s *server) metricsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+healthPath, healthz)
	mux.Handle("GET "+readyPath, s.ready)
	h := s.metrics.handler()
	if s.cfg.metrics.token != "" {
		h = withSecret(s.cfg.metrics.token, s.log, h)
	}
	mux.Handle("GET "+metricsPath, h)
	return mux
}

// profiles is what the address of the pprof block answers.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// redirect sends readers of blobs to the store, where the configuration says so
// and the store has addresses; nil otherwise.
func (s *server) redirect() func(context.Context, string, digest.Digest) (string, error) {
	at, ok := s.backend.storage.Store.(store.Redirector)
	if !ok || !s.cfg.blobs.redirect {
		return nil
	}
	return func(ctx context.Context, _ string, d digest.Digest) (string, error) {
		return at.URL(ctx, store.BlobKey(d), s.cfg.blobs.lifetime)
	}
}

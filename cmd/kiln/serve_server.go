package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"

	"kiln/registry/access"
	"kiln/registry/promotionhttp"
)

// server is one kiln serve.
type server struct {
	cfg     serveConfig
	log     *slog.Logger
	audit   *slog.Logger // of writes, whatever the level of log
	metrics *serveMetrics
	backend *backend
	gate    *access.Gate // nil on an open server
	ready   *readiness
	watch   *observer
	certs   *certificates // nil without TLS
	policy  *servedPolicy
	tracing *trace.TracerProvider // nil without
	main    http.Handler
	again   chan os.Signal // a second signal
}

// newServer opens everything that a server needs, and listens nowhere.
func (a *app) newServer(ctx context.Context, cfg serveConfig) (_ *server, err error) {
	s := &server{cfg: cfg, log: newLog(a.err, cfg.log), metrics: newServeMetrics(), again: make(chan os.Signal, 1)}
	s.audit = newLog(a.err, logConfig{json: cfg.log.json, level: min(cfg.log.level, slog.LevelInfo)})
	if cfg.tls != nil {
		if s.certs, err = loadCertificates(*cfg.tls, s.log, s.metrics); err != nil {
			return nil, err
		}
	}
	s.policy = watchPolicy(cfg.policy, s.log, s.metrics)
	if s.backend, err = a.openServed(ctx, cfg, s.log, s.metrics); err != nil {
		return nil, err
	}
	s.policy.backend, s.policy.current = s.backend, s.backend.service.Policy()
	defer func() {
		if err != nil {
			err = errors.Join(err, s.backend.Close())
		}
	}()
	s.ready = &readiness{pointers: s.backend.storage.Pointers, log: s.log}
	s.watch = &observer{log: s.log, metrics: s.metrics, proxies: cfg.trustedProxies, idle: cfg.limits.idle}
	s.metrics.watch("kiln_ready", "1 while /readyz says so.", s.ready.value)
	s.metrics.watch("kiln_http_requests_in_flight", "Requests that are running.", func() float64 { return float64(s.watch.requests.Load()) })
	s.metrics.watch("kiln_uploads_in_flight", "Blobs that are coming in.", func() float64 { return float64(s.watch.uploads.Load()) })
	if s.gate, err = newGate(ctx, cfg, s.backend.storage.Pointers, s.log); err != nil {
		return nil, err
	}
	if s.tracing, err = newTracing(ctx, cfg.tracing); err != nil {
		return nil, err
	}
	if s.main, err = s.handler(); err != nil {
		return nil, err
	}
	return s, nil
}

// close lets go of what newServer opened.
func (s *server) close() {
	if s.tracing != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.tracing.Shutdown(ctx); err != nil {
			s.log.Warn("traces not sent", "err", err)
		}
	}
	if err := s.backend.Close(); err != nil {
		s.log.Warn("store not closed", "err", err)
	}
}

// run listens, prints the address on out and serves until ctx ends.
func (s *server) run(ctx context.Context, out io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.listen)
	if err != nil {
		return err
	}
	conns := limitConnections(listener, s.cfg.limits.connections)
	defer conns.Close()
	s.metrics.watch("kiln_http_connections", "Connections that are open.", func() float64 { return float64(conns.count()) })
	end, err := s.listenBeside(ctx)
	if err != nil {
		return err
	}
	defer end()
	main := s.httpServer(s.main)
	// From a request's header to the end of a small answer; what moves blobs
	// moves this on.
	main.WriteTimeout = s.cfg.limits.requestTimeout + s.cfg.limits.idle
	main.ConnState = conns.state
	if s.certs != nil {
		main.TLSConfig = s.certs.server()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	keep := &upkeep{backend: s.backend, cfg: s.cfg, log: s.log, metrics: s.metrics}
	wait := background(ctx, keep.tasks(), s.log, s.metrics)
	defer func() { cancel(); wait() }()
	defer s.signals(ctx)()
	address := s.cfg.scheme() + "://" + listener.Addr().String()
	fmt.Fprintln(out, address)
	s.log.Info("serving", "address", address, "store", s.cfg.store, "version", version(), "open", s.gate == nil)
	l := &lifecycle{cfg: s.cfg.shutdown, log: s.log, ready: s.ready, watch: s.watch, again: s.again, server: main}
	return l.serve(ctx, conns)
}

// httpServer is a server with the bounds that all of ours have. Its requests
// do not end with the context that ends the server.
func (s *server) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.cfg.limits.headerTimeout,
		IdleTimeout:       s.cfg.limits.idleConnection,
		MaxHeaderBytes:    s.cfg.limits.header,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// listenBeside serves metrics and profiles on their own addresses.
func (s *server) listenBeside(ctx context.Context) (end func(), err error) {
	var servers []*http.Server
	end = func() {
		for _, beside := range servers {
			beside.Close()
		}
	}
	for _, b := range []struct {
		name, address string
		handler       http.Handler
	}{{"metrics", s.cfg.metrics.listen, s.metricsHandler()}, {"pprof", s.cfg.pprof, profiles()}} {
		if b.address == "" {
			continue
		}
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", b.address)
		if err != nil {
			end()
			return nil, fmt.Errorf("%s: %w", b.name, err)
		}
		if isLoopback(b.address) { // nor to pages that a browser here shows
			b.handler = promotionhttp.Loopback(b.handler)
		}
		beside := s.httpServer(b.handler)
		servers = append(servers, beside)
		s.log.Info("listening", "for", b.name, "address", listener.Addr().String())
		go beside.Serve(limitConnectionsOf(beside, listener))
	}
	return end, nil
}

// limitConnectionsOf gives a server beside the main one few connections.
func limitConnectionsOf(server *http.Server, l net.Listener) net.Listener {
	conns := limitConnections(l, 64)
	server.ConnState = conns.state
	return conns
}

// reloadEvery is how often certificates and policies are looked at.
const reloadEvery = 2 * time.Second

// signals loads certificate and policy anew when they change or at SIGHUP, and
// passes on a second signal to end.
func (s *server) signals(ctx context.Context) (stop func()) {
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	// The first signal ended ctx; what comes from then on is a second one.
	forget := context.AfterFunc(ctx, func() { signal.Notify(s.again, os.Interrupt, syscall.SIGTERM) })
	done := make(chan struct{})
	// Draining, the server goes on as before: by the policy that there is then.
	loading, end := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		tick := time.NewTicker(reloadEvery)
		defer tick.Stop()
		for {
			must := false
			select {
			case <-done:
				return
			case <-hangUp:
				must = true
			case <-tick.C:
			}
			if s.certs != nil {
				s.certs.reload(must)
			}
			s.policy.reload(loading, must)
		}
	}()
	return func() {
		close(done)
		end()
		forget()
		signal.Stop(hangUp)
		signal.Stop(s.again)
	}
}

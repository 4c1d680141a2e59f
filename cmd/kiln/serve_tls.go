package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// certificates are the files of the tls block, loaded again when they change.
// What is broken is not taken: the pair before stays in use.
type certificates struct {
	cfg     tlsConfig
	log     *slog.Logger
	metrics *serveMetrics
	current atomic.Pointer[tls.Config]
	seen    string // what the files looked like when they were last read
}

// loadCertificates reads them for the first time; then what is broken is an
// error.
func loadCertificates(cfg tlsConfig, log *slog.Logger, m *serveMetrics) (*certificates, error) {
	c := &certificates{cfg: cfg, log: log, metrics: m, seen: fileMarks(cfg.cert, cfg.key, cfg.clientCA)}
	next, err := cfg.load()
	if err != nil {
		return nil, err
	}
	c.use(next)
	return c, nil
}

// load reads the pair and the authorities of clients.
func (cfg tlsConfig) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cfg.cert, cfg.key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", cfg.cert, cfg.key, err)
	}
	if time.Now().After(pair.Leaf.NotAfter) {
		return nil, fmt.Errorf("certificate %s ended at %s", cfg.cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: cfg.minVersion, NextProtos: []string{"h2", "http/1.1"}}
	if cfg.clientCA == "" {
		return c, nil
	}
	data, err := os.ReadFile(cfg.clientCA)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(data) {
		return nil, errors.New("client_ca " + cfg.clientCA + " holds no certificate in PEM")
	}
	return c, nil
}

func (c *certificates) use(next *tls.Config) {
	c.current.Store(next)
	c.metrics.certificate.Set(float64(next.Certificates[0].Leaf.NotAfter.Unix()))
}

// server is the configuration of an http.Server, which asks for the pair at
// each handshake.
func (c *certificates) server() *tls.Config {
	return &tls.Config{
		MinVersion: c.cfg.minVersion,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return c.current.Load(), nil
		},
	}
}

// reload reads the files again if they look different, or if it must. Not safe
// for concurrent use.
func (c *certificates) reload(must bool) {
	marks := fileMarks(c.cfg.cert, c.cfg.key, c.cfg.clientCA)
	if marks == c.seen && !must {
		return
	}
	c.seen = marks
	next, err := c.cfg.load()
	if err != nil {
		c.metrics.reloads.WithLabelValues("error").Inc()
		c.log.Error("certificate not loaded; the one before stays in use", "err", err)
		return
	}
	c.use(next)
	c.metrics.reloads.WithLabelValues("ok").Inc()
	c.log.Info("certificate loaded", "expires", next.Certificates[0].Leaf.NotAfter.UTC())
}

// fileMarks is a text that changes when one of the files does, also where its
// size and time stay: copies keep times, and some builds set all to the same.
func fileMarks(paths ...string) string {
	var marks strings.Builder
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			fmt.Fprintf(&marks, "%s -\n", p)
			continue
		}
		fmt.Fprintf(&marks, "%s %d %d", p, info.ModTime().UnixNano(), info.Size())
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			fmt.Fprintf(&marks, " %d %d %d", st.Dev, st.Ino, time.Unix(st.Ctim.Unix()).UnixNano())
		}
		marks.WriteByte('\n')
	}
	return marks.String()
}

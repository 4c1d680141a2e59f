package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"kiln/registry/access"
	"kiln/registry/store"
)

// newGate makes what asks callers who they are; nil on an open server.
func newGate(ctx context.Context, cfg serveConfig, pointers store.Pointers, log *slog.Logger) (*access.Gate, error) {
	if cfg.auth == nil {
		return nil, nil
	}
	var key []byte
	if cfg.auth.sessionKey != "" {
		data, err := os.ReadFile(cfg.auth.sessionKey)
		if err != nil {
			return nil, err
		}
		key = []byte(strings.TrimSpace(string(data)))
		if len(key) < access.MinSessionKey { // none would be one of this process
			return nil, fmt.Errorf("session_key %s: %d bytes without blanks are too few: at least %d random ones",
				cfg.auth.sessionKey, len(key), access.MinSessionKey)
		}
	}
	return access.New(ctx, access.Config{
		Pointers: pointers, Htpasswd: cfg.auth.htpasswd, Users: cfg.auth.users, AnonymousPull: cfg.auth.anonymousPull,
		Issuers: cfg.auth.issuers, SessionKey: key, URL: cfg.url, TrustedProxies: cfg.trustedProxies, Log: log,
	})
}

// checkAccess tries the auth block without a store.
func (cfg serveConfig) checkAccess() error {
	var none struct{ store.Pointers }
	_, err := newGate(context.Background(), cfg, none, slog.New(slog.DiscardHandler))
	return err
}

// withSecret lets through who carries the secret in a file, as a bearer token.
// The file is read each time, so that it can be changed.
func withSecret(path string, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := os.ReadFile(path)
		if err != nil {
			log.Error("secret of metrics not read", "err", err)
		}
		want, given := strings.TrimSpace(string(data)), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(given))
		if want == "" || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="kiln metrics"`)
			http.Error(w, "metrics need the token that the configuration names", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

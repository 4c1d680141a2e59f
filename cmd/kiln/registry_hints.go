package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"kiln/registry"
	"kiln/registry/ociclient"
)

// registryHints say what to do about an error of another registry, or of the
// server of --store.
func (a *app) registryHints(err error) []string {
	if refused, ok := errors.AsType[*ociclient.RefusedError](err); ok {
		return []string{a.refusedHint(refused)}
	}
	if untrusted(err) {
		return []string{"SSL_CERT_FILE names a file with the certificate of the authority that signed the server's"}
	}
	return nil
}

// untrusted tells the errors of a certificate that nobody we know vouches for.
func untrusted(err error) bool {
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

func (a *app) refusedHint(e *ociclient.RefusedError) string {
	login := "docker login " + e.Host + " (or crane auth login, skopeo login)"
	token := "KILN_TOKEN is sent to the server of --store alone"
	if host, err := hostOf(a.store); err == nil && strings.Contains(a.store, "://") && host == e.Host {
		token = "KILN_TOKEN holds a token"
	}
	if errors.Is(e, registry.CodeDenied) {
		return fmt.Sprintf("the right to %s is missing there: who runs %s grants it, or log in as another by %s; %s", e.Action, e.Host, login, token)
	}
	return fmt.Sprintf("log in: %s; %s", login, token)
}

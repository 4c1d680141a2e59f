package main

import (
	"crypto/x509"
	"os"
	"slices"
	"strings"
	"time"

	"kiln/registry/access"
	"kiln/registry/hclfile"
)

// authConfig is the auth block: who may do what.
type authConfig struct {
	htpasswd      string // path; "" for none
	sessionKey    string // path; "" for a key of this process
	anonymousPull []string
	users         map[string][]access.Grant
	issuers       []access.Issuer
}

func readAuth(b *configBlock) *authConfig {
	if b == nil {
		return nil
	}
	c := &authConfig{
		htpasswd:      b.file("htpasswd"),
		sessionKey:    b.file("session_key"),
		anonymousPull: b.patterns("anonymous_pull"),
		users:         map[string][]access.Grant{},
	}
	if c.sessionKey != "" {
		if info, err := os.Stat(c.sessionKey); err == nil && info.Size() < access.MinSessionKey {
			b.Wrong("session_key", "%d bytes are too few: at least %d random ones", info.Size(), access.MinSessionKey)
		}
	}
	for _, user := range b.blocks("user", "name") {
		c.users[user.Labels[0]] = readGrants(user)
		user.Done()
	}
	if len(c.users) > 0 && !b.Has("htpasswd") {
		b.WrongBlock("users have no passwords: write htpasswd = \"FILE\" (kiln htpasswd makes it)")
	}
	for _, issuer := range b.blocks("oidc", "name") {
		c.issuers = append(c.issuers, readIssuer(issuer))
	}
	b.Done()
	return c
}

// readGrants reads the grant blocks of a user or role; without one it may do
// nothing, which nobody means.
func readGrants(b *configBlock) []access.Grant {
	var list []access.Grant
	for _, g := range b.blocks("grant") {
		g.Require("images", "verbs")
		grant := access.Grant{Images: g.patterns("images"), Channels: g.patterns("channels"), Verbs: readVerbs(g)}
		checkGrant(g, grant)
		g.Done()
		list = append(list, grant)
	}
	if len(list) == 0 {
		b.WrongBlock("may do nothing: add grant { images = [\"acme/*\"], verbs = [\"pull\"] } (on lines of their own)")
	}
	return list
}

func readVerbs(b *configBlock) []access.Verb {
	var known []string
	for _, v := range access.Verbs() {
		known = append(known, string(v))
	}
	var list []access.Verb
	for _, v := range b.Texts("verbs") {
		if !slices.Contains(known, v) {
			b.Wrong("verbs", "%q is not one of %s%s", v, strings.Join(known, ", "), hclfile.DidYouMean(v, known))
			continue
		}
		list = append(list, access.Verb(v))
	}
	return list
}

// checkGrant notes grants that allow less than they seem to.
func checkGrant(b *configBlock, g access.Grant) {
	ofChannels := []access.Verb{access.Promote, access.Approve, access.Rollback}
	needs := slices.ContainsFunc(g.Verbs, func(v access.Verb) bool { return slices.Contains(ofChannels, v) })
	switch {
	case needs && len(g.Channels) == 0:
		b.WrongBlock("channels is missing: promote, approve and rollback are about channels; [\"*\"] is every one")
	case !needs && len(g.Channels) > 0:
		b.Wrong("channels", "no verb of this grant is about channels; promote, approve and rollback are")
	}
	for _, v := range []access.Verb{access.GC, access.Admin} {
		if slices.Contains(g.Verbs, v) && !slices.Contains(g.Images, access.EveryImage) {
			b.Wrong("images", "%s is about the whole store: images must be [%q]", v, access.EveryImage)
		}
	}
}

func readIssuer(b *configBlock) access.Issuer {
	b.Require("issuer", "audience")
	i := access.Issuer{
		Name: b.Labels[0], URL: b.text("issuer", ""), Audience: b.text("audience", ""), Algorithms: b.Texts("algorithms"),
		MaxAge: b.duration("max_age", access.DefaultMaxAge, time.Minute, 30*day), AllowPrivate: b.boolean("allow_private", false),
		RootCAs: readCertificates(b, "ca"),
	}
	if i.Audience == "" && b.Has("audience") {
		b.Wrong("audience", "it is empty: name what tokens must be made for")
	}
	for _, r := range b.blocks("role", "name") {
		r.Require("claims")
		role := access.Role{Claims: r.textMap("claims"), Grants: readGrants(r)}
		if len(role.Claims) == 0 && r.Has("claims") {
			r.Wrong("claims", "none would let in every token of the issuer, also those of strangers")
		}
		r.Done()
		i.Roles = append(i.Roles, role)
	}
	if len(i.Roles) == 0 {
		b.WrongBlock("has no role: add role \"name\" with claims and a grant")
	}
	b.Done()
	return i
}

// readCertificates reads a PEM file of certificates; nil where none is named.
func readCertificates(b *configBlock, name string) *x509.CertPool {
	path := b.file(name)
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil // file told
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		b.Wrong(name, "%s holds no certificate in PEM", path)
	}
	return pool
}

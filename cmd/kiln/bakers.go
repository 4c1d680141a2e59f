package main

import (
	"time"

	"kiln/registry/promotion"
	"kiln/sign"
)

// bakersOf verifies what those signed who may bake an image by a store's trust,
// whatever their dates, and what others did; nil if there is nobody.
func bakersOf(t promotion.Trust, image string, others ...sign.Principal) (*sign.Verifier, error) {
	cfg := sign.VerifierConfig{TrustedRoot: t.Root}
	for _, p := range append(t.Principals(promotion.RoleBake, image, ""), others...) {
		if p.Identity != nil && len(t.Root) == 0 {
			continue // no authority is known that could name it
		}
		p.NotBefore, p.NotAfter = time.Time{}, time.Time{}
		cfg.Principals = append(cfg.Principals, p)
	}
	if len(cfg.Principals) == 0 {
		return nil, nil
	}
	return sign.NewVerifierFor(cfg)
}

// keyPrincipals are those who hold the private halves of public keys.
func keyPrincipals(pems [][]byte) []sign.Principal {
	var all []sign.Principal
	for _, pem := range pems {
		all = append(all, sign.Principal{Key: pem})
	}
	return all
}

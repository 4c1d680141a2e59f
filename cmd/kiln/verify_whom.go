package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"

	"kiln/registry/promotion"
	"kiln/registry/promotion/trustfile"
	"kiln/sign"
)

// verifyWhom are the flags that say whom to believe: exactly one of keys, an
// identity and a trust file.
type verifyWhom struct {
	keys  []string
	trust string

	identity, identityRegexp, issuer, root string
}

func (w *verifyWhom) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&w.keys, "key", nil, "public key that must have signed (repeatable)")
	f.StringVar(&w.trust, "trust", "", "trust file that has a rule for the image (KILN_TRUST)")
	f.StringVar(&w.identity, "certificate-identity", "", "identity that the certificate of a keyless signature must name")
	f.StringVar(&w.identityRegexp, "certificate-identity-regexp", "", "regular expression that it must match as a whole, instead")
	f.StringVar(&w.issuer, "certificate-oidc-issuer", "", "issuer of that identity")
	f.StringVar(&w.root, "trusted-root", "", "Sigstore trusted root (trusted_root.json) for certificates, logs and timestamps")
}

// keyless tells whether any flag of an identity is given.
func (w verifyWhom) keyless() bool {
	return w.identity != "" || w.identityRegexp != "" || w.issuer != ""
}

// judge verifies images for those whom the flags name.
type judge struct {
	file     *trustfile.File // or
	verifier *sign.Verifier
	trust    promotion.Trust // the same, for images that it was baked from, too
}

// judge reads what the flags name.
func (a *app) judge(ctx context.Context, w verifyWhom) (judge, error) {
	if w.trust == "" && len(w.keys) == 0 && !w.keyless() {
		w.trust = a.getenv("KILN_TRUST")
	}
	switch {
	case w.trust != "" && (len(w.keys) > 0 || w.keyless() || w.root != ""):
		return judge{}, usagef("--trust says whom to believe, keys, identities and the trusted root included: give it alone")
	case w.trust != "":
		f, err := trustfile.Load(w.trust)
		if err != nil {
			return judge{}, missingUsage("--trust", err)
		}
		return judge{file: f, trust: f.Trust}, nil
	case len(w.keys) > 0 && w.keyless():
		return judge{}, usagef("--key and --certificate-identity: give one of them, or --trust")
	case len(w.keys) > 0:
		return w.byKeys(ctx)
	case w.keyless():
		return w.byIdentity()
	}
	return judge{}, usagef("verify needs --key, --certificate-identity or --trust: without them nothing is verified")
}

func (w verifyWhom) byKeys(ctx context.Context) (judge, error) {
	pems, err := publicKeys(ctx, w.keys)
	if err != nil {
		return judge{}, err
	}
	var entries []promotion.TrustEntry
	for _, pem := range pems {
		entries = append(entries, promotion.TrustEntry{Key: string(pem)})
	}
	return w.byEntries(entries)
}

func (w verifyWhom) byIdentity() (judge, error) {
	who := &sign.Identity{Issuer: w.issuer, Subject: w.identity, SubjectRegexp: w.identityRegexp}
	if _, err := (sign.Principal{Identity: who}).ID(); err != nil {
		return judge{}, usagef("--certificate-identity (or -regexp) and --certificate-oidc-issuer: %v", err)
	}
	if w.root == "" {
		return judge{}, usagef("--certificate-identity needs --trusted-root: no authority is believed that was not named")
	}
	return w.byEntries([]promotion.TrustEntry{{Identity: who}})
}

// byEntries believes those for every image. Signatures that name no image, as
// cosign 3 makes them, count on the user's own word; the report says so.
func (w verifyWhom) byEntries(entries []promotion.TrustEntry) (judge, error) {
	root, err := w.trustedRoot()
	if err != nil {
		return judge{}, err
	}
	cfg := sign.VerifierConfig{TrustedRoot: root, Nameless: true}
	j := judge{trust: promotion.Trust{Root: root}}
	for _, e := range entries {
		e.Role, e.Image = promotion.RoleBake, promotion.EveryImage
		cfg.Principals = append(cfg.Principals, e.Principal())
		j.trust.Entries = append(j.trust.Entries, e)
	}
	j.verifier, err = sign.NewVerifierFor(cfg)
	return j, err
}

func (w verifyWhom) trustedRoot() ([]byte, error) {
	if w.root == "" {
		return nil, nil
	}
	root, err := os.ReadFile(w.root)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	return root, nil
}

// verify checks an image and the types that must be attested, and looks for
// those that kiln attests. as is the name that signatures must say, if not the
// one without host.
func (j judge) verify(ctx context.Context, ev sign.Reader, s trustfile.Subject, as string, types []string) (trustfile.Verified, error) {
	if j.file != nil {
		return j.file.VerifyImage(ctx, ev, s, types, evidenceTypes, time.Now)
	}
	image := firstOf(as, s.Image)
	v, err := trustfile.Verify(ctx, j.verifier, trustfile.Renamed(ev, image, s.Repo), image, s.Digest, types, evidenceTypes)
	v.Rule.Image = image
	return v, err
}

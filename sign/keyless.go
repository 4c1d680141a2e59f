package sign

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	sigstore "github.com/sigstore/sigstore-go/pkg/sign"
)

// KeylessConfig says where a signer without a key gets its certificates and
// what proves when it used them. No address has a default: nobody is asked who
// was not named.
type KeylessConfig struct {
	// FulcioURL issues certificates (API v2). Required; https, or http on this
	// machine: the token goes there, and to no other by redirect.
	FulcioURL string
	// RekorURL is a log (API v1), TimestampURL the full address of an RFC 3161
	// authority. At least one is required; those that the trusted root lists
	// are what verifiers demand.
	RekorURL, TimestampURL string
	// Token returns an OIDC identity token, asked for each certificate: one
	// lasts ten minutes.
	Token func(ctx context.Context) (string, error)
	// TrustedRoot is the Sigstore trusted root that verifiers will use. What
	// it does not verify is not published. Required.
	TrustedRoot []byte
}

func (c KeylessConfig) check() error {
	switch {
	case c.FulcioURL == "":
		return errors.New("keyless: the address of Fulcio is required")
	case CheckTokenURL(c.FulcioURL) != nil:
		return fmt.Errorf("keyless: the address of Fulcio: %w", CheckTokenURL(c.FulcioURL))
	case c.RekorURL == "" && c.TimestampURL == "":
		return errors.New("keyless: the address of a log (Rekor) or of a timestamp authority is required")
	case c.Token == nil:
		return errors.New("keyless: an identity token is required")
	case len(c.TrustedRoot) == 0:
		return errors.New("keyless: a trusted root (trusted_root.json) is required")
	}
	return nil
}

// NewKeylessSigner gets a first certificate and so learns its identity. Its
// signatures carry the certificate and what proves their time. It cannot sign
// records and channel statements.
func NewKeylessSigner(ctx context.Context, cfg KeylessConfig) (*Signer, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	k := &keyless{cfg: cfg}
	issued, err := k.certificate(ctx)
	if err != nil {
		return nil, err
	}
	who := issued.identity
	own, err := NewVerifierFor(VerifierConfig{Principals: []Principal{{Identity: &who}}, TrustedRoot: cfg.TrustedRoot})
	if err != nil {
		return nil, fmt.Errorf("keyless: %w", err)
	}
	k.identity = who
	return &Signer{public: publicKey{id: who.id()}, own: own, keyless: k}, nil
}

// keyless gets certificates and signs with their keys.
type keyless struct {
	cfg      KeylessConfig
	identity Identity

	mu     sync.Mutex
	latest *issued
}

// issued is a certificate with the key that it was made for.
type issued struct {
	keypair  *sigstore.EphemeralKeypair
	der      []byte
	until    time.Time
	identity Identity
}

// GetCertificate makes issued a source of its one certificate.
func (i *issued) GetCertificate(context.Context, sigstore.Keypair, *sigstore.CertificateProviderOptions) ([]byte, error) {
	return i.der, nil
}

// spare is how long a certificate must still last to be used.
const spare = 2 * time.Minute

// certificate returns one that lasts a while, with its key.
func (k *keyless) certificate(ctx context.Context) (*issued, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.latest != nil && time.Until(k.latest.until) > spare {
		return k.latest, nil
	}
	token, err := k.cfg.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("keyless: identity token: %w", err)
	}
	keypair, err := sigstore.NewEphemeralKeypair(nil)
	if err != nil {
		return nil, fmt.Errorf("keyless: %w", err)
	}
	fulcio := sigstore.NewFulcio(&sigstore.FulcioOptions{BaseURL: k.cfg.FulcioURL, Retries: 1, Transport: TokenTransport{}})
	der, err := fulcio.GetCertificate(ctx, keypair, &sigstore.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return nil, fmt.Errorf("keyless: certificate from %s: %w", k.address(), withoutToken(err, token))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("keyless: certificate from %s: %w", k.address(), err)
	}
	summary, err := certificate.SummarizeCertificate(cert)
	if err != nil {
		return nil, fmt.Errorf("keyless: certificate from %s: %w", k.address(), err)
	}
	who := Identity{Issuer: summary.Issuer, Subject: summary.SubjectAlternativeName}
	if who.Issuer == "" || who.Subject == "" {
		return nil, fmt.Errorf("keyless: the certificate from %s names no identity", k.address())
	}
	if k.latest != nil && who != k.identity {
		return nil, fmt.Errorf("keyless: the certificate names %s, the one before %s", who.id(), k.identity.id())
	}
	k.latest = &issued{keypair, der, cert.NotAfter, who}
	return k.latest, nil
}

// address is Fulcio's, for people: without a password.
func (k *keyless) address() string {
	u, err := url.Parse(k.cfg.FulcioURL)
	if err != nil {
		return "Fulcio"
	}
	return u.Redacted()
}

// bundle signs content and has it logged and stamped.
func (k *keyless) bundle(ctx context.Context, content sigstore.Content) (*protobundle.Bundle, error) {
	cert, err := k.certificate(ctx)
	if err != nil {
		return nil, err
	}
	options := sigstore.BundleOptions{CertificateProvider: cert, Context: ctx}
	if k.cfg.TimestampURL != "" {
		options.TimestampAuthorities = []*sigstore.TimestampAuthority{
			sigstore.NewTimestampAuthority(&sigstore.TimestampAuthorityOptions{URL: k.cfg.TimestampURL, Retries: 1}),
		}
	}
	if k.cfg.RekorURL != "" {
		options.TransparencyLogs = []sigstore.Transparency{
			sigstore.NewRekor(&sigstore.RekorOptions{BaseURL: k.cfg.RekorURL, Retries: 1}),
		}
	}
	b, err := sigstore.Bundle(content, cert.keypair, options)
	if err != nil {
		return nil, fmt.Errorf("keyless: sign as %s: %w", cert.identity.id(), err)
	}
	return b, nil
}

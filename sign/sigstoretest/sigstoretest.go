// Package sigstoretest is a Sigstore for tests: an issuer of certificates
// (Fulcio's API v2), a log (Rekor's API v1) and a timestamp authority (RFC
// 3161) under one address, with keys of their own, and the trusted root that
// names them. It believes every token and keeps nothing.
package sigstoretest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
)

// Sigstore serves all three. Its keys are valid for some minutes.
type Sigstore struct {
	// LogTime is when the log says that it took an entry; nil is time.Now.
	LogTime func() time.Time
	// AlsoNamed are addresses that certificates name beside the token's.
	AlsoNamed []string

	mux           *http.ServeMux
	rootCert      *x509.Certificate
	issuer        *x509.Certificate
	issuerKey     *ecdsa.PrivateKey
	stampIssuer   *x509.Certificate
	stamper       *x509.Certificate
	stamperKey    *ecdsa.PrivateKey
	log           *ca.VirtualSigstore // its log only
	started, ends time.Time
}

// New makes one with fresh keys.
func New() (*Sigstore, error) {
	s := &Sigstore{mux: http.NewServeMux(), started: time.Now().Add(-time.Hour), ends: time.Now().Add(time.Hour)}
	var err error
	if s.log, err = ca.NewVirtualSigstore(); err != nil {
		return nil, err
	}
	rootCert, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		return nil, err
	}
	s.rootCert = rootCert
	if s.issuer, s.issuerKey, err = ca.GenerateFulcioIntermediate(rootCert, rootKey); err != nil {
		return nil, err
	}
	stampIssuer, stampIssuerKey, err := ca.GenerateTSAIntermediate(rootCert, rootKey)
	if err != nil {
		return nil, err
	}
	s.stampIssuer = stampIssuer
	if s.stamperKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if s.stamper, err = ca.GenerateTSALeafCert(time.Now().Add(-time.Minute), s.stamperKey, stampIssuer, stampIssuerKey); err != nil {
		return nil, err
	}
	s.routes()
	return s, nil
}

// ServeHTTP serves all three APIs.
func (s *Sigstore) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Part is what a trusted root can have.
type Part int

// The parts of a trusted root beside the issuer of certificates.
const (
	Log Part = iota
	Timestamps
	CertificateLog // no certificate carries its word
)

// TrustedRoot is a trusted root, as JSON, with the parts named.
func (s *Sigstore) TrustedRoot(parts ...Part) ([]byte, error) {
	issuers := []root.CertificateAuthority{&root.FulcioCertificateAuthority{
		Root: s.rootCert, Intermediates: []*x509.Certificate{s.issuer},
		ValidityPeriodStart: s.started, ValidityPeriodEnd: s.ends, URI: "https://fulcio.example.com",
	}}
	var logs, certificateLogs map[string]*root.TransparencyLog
	var stampers []root.TimestampingAuthority
	for _, part := range parts {
		switch part {
		case Log:
			logs = Named(s.log.RekorLogs())
		case CertificateLog:
			certificateLogs = Named(s.log.CTLogs())
		case Timestamps:
			stampers = append(stampers, &root.SigstoreTimestampingAuthority{
				Root: s.rootCert, Intermediates: []*x509.Certificate{s.stampIssuer}, Leaf: s.stamper,
				ValidityPeriodStart: s.started, ValidityPeriodEnd: s.ends, URI: "https://tsa.example.com",
			})
		}
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01, issuers, certificateLogs, stampers, logs)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// Named gives logs the ids by which a trusted root finds them.
func Named(logs map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
	for id, log := range logs {
		if raw, err := hex.DecodeString(id); err == nil {
			log.ID = raw
		}
	}
	return logs
}

// Token is an identity token with no true signature, which only this Sigstore
// believes.
func Token(issuer, email string) (string, error) {
	claims, err := json.Marshal(map[string]any{
		"iss": issuer, "sub": email, "email": email, "email_verified": true,
		"aud": "sigstore", "exp": time.Now().Add(time.Hour).Unix(),
	})
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"RS256"}`)) + "." + part(claims) + "." + part([]byte("unsigned")), err
}

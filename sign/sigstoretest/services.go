package sigstoretest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	"github.com/go-openapi/runtime"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// maxBody bounds a request, in bytes.
const maxBody = 64 << 20

func (s *Sigstore) routes() {
	s.handle("POST /api/v1/signingCert", s.legacyCertificate) // cosign 2's Fulcio client
	s.handle("POST /api/v2/signingCert", s.certificate)
	s.handle("POST /api/v1/log/entries", s.entry)
	s.handle("POST /api/v1/timestamp", s.timestamp)
}

// handle answers an error of h with 400.
func (s *Sigstore) handle(pattern string, h func(http.ResponseWriter, *http.Request, []byte) error) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err == nil {
			err = h(w, r, body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
}

// certificate issues a certificate as Fulcio's API v2 does.
func (s *Sigstore) certificate(w http.ResponseWriter, r *http.Request, body []byte) error {
	var request struct {
		PublicKeyRequest struct{ PublicKey struct{ Content string } }
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey([]byte(request.PublicKeyRequest.PublicKey.Content))
	if err != nil {
		return err
	}
	chain, err := s.issue(r, key)
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(map[string]any{
		"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}},
	})
}

// legacyCertificate issues one as Fulcio's API v1 does.
func (s *Sigstore) legacyCertificate(w http.ResponseWriter, r *http.Request, body []byte) error {
	var request struct{ PublicKey struct{ Content []byte } }
	if err := json.Unmarshal(body, &request); err != nil {
		return err
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(request.PublicKey.Content)
	if err != nil {
		return err
	}
	chain, err := s.issue(r, key)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/pem-certificate-chain")
	w.WriteHeader(http.StatusCreated)
	_, err = io.WriteString(w, strings.Join(chain, ""))
	return err
}

// issue makes a certificate for key that names the identity of the request's
// token; it returns it and those above it in PEM form.
func (s *Sigstore) issue(r *http.Request, key crypto.PublicKey) ([]string, error) {
	parts := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), ".")
	if len(parts) != 3 {
		return nil, errors.New("no token")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	var claims struct{ Iss, Email string }
	if err := json.Unmarshal(raw, &claims); err != nil {
		return nil, err
	}
	leaf, err := ca.GenerateLeafCert(claims.Email, claims.Iss, time.Now().Add(-time.Minute), public{key}, s.issuer, s.issuerKey)
	if err != nil {
		return nil, err
	}
	if len(s.AlsoNamed) > 0 {
		if leaf, err = s.alsoNaming(leaf); err != nil {
			return nil, err
		}
	}
	var chain []string
	for _, cert := range []*x509.Certificate{leaf, s.issuer, s.rootCert} {
		chain = append(chain, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	}
	return chain, nil
}

// alsoNaming issues a certificate again, with more names.
func (s *Sigstore) alsoNaming(leaf *x509.Certificate) (*x509.Certificate, error) {
	template := *leaf
	template.EmailAddresses = append(template.EmailAddresses, s.AlsoNamed...)
	for _, e := range leaf.Extensions {
		if !e.Id.Equal(cryptoutils.SANOID) {
			template.ExtraExtensions = append(template.ExtraExtensions, e)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, s.issuer, leaf.PublicKey, s.issuerKey)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// public is a key pair of which only the public half is known.
type public struct{ key crypto.PublicKey }

func (p public) Public() crypto.PublicKey { return p.key }

func (p public) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("private key not known")
}

// entry takes an entry into the log as Rekor's API v1 does; the log has no
// other.
func (s *Sigstore) entry(w http.ResponseWriter, r *http.Request, body []byte) error {
	canonical, err := canonicalEntry(r.Context(), body)
	if err != nil {
		return err
	}
	id, err := s.log.RekorLogID()
	if err != nil {
		return err
	}
	at := time.Now()
	if s.LogTime != nil {
		at = s.LogTime()
	}
	seconds, index := at.Unix(), int64(0)
	encoded := base64.StdEncoding.EncodeToString(canonical)
	promise, err := s.log.RekorSignPayload(tlog.RekorPayload{LogID: id, IntegratedTime: seconds, LogIndex: index, Body: encoded})
	if err != nil {
		return err
	}
	proof, err := s.log.GetInclusionProof(canonical)
	if err != nil {
		return err
	}
	uuid := strings.Repeat("0", 64)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", uuid)
	w.Header().Set("Location", "/api/v1/log/entries/"+uuid)
	w.WriteHeader(http.StatusCreated)
	return json.NewEncoder(w).Encode(map[string]any{uuid: models.LogEntryAnon{
		Body: encoded, IntegratedTime: &seconds, LogID: &id, LogIndex: &index,
		Verification: &models.LogEntryAnonVerification{SignedEntryTimestamp: promise, InclusionProof: proof},
	}})
}

// canonicalEntry checks a proposed entry, its signature included.
func canonicalEntry(ctx context.Context, body []byte) ([]byte, error) {
	proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(body), runtime.JSONConsumer())
	if err != nil {
		return nil, err
	}
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(ctx, entry)
}

// timestamp stamps a hash (RFC 3161).
func (s *Sigstore) timestamp(w http.ResponseWriter, _ *http.Request, body []byte) error {
	request, err := timestamp.ParseRequest(body)
	if err != nil {
		return err
	}
	stamp := timestamp.Timestamp{
		HashAlgorithm: request.HashAlgorithm,
		HashedMessage: request.HashedMessage,
		Nonce:         request.Nonce,
		Time:          time.Now(),
		Policy:        asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2},
		// The trusted root holds the chain, but for those who ask.
		AddTSACertificate: request.Certificates,
	}
	response, err := stamp.CreateResponseWithOpts(s.stamper, s.stamperKey, crypto.SHA256)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/timestamp-reply")
	w.WriteHeader(http.StatusCreated)
	_, err = w.Write(response)
	return err
}

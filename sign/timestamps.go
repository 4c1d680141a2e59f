package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/digitorus/timestamp"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
)

const (
	// maxTimestamp bounds one timestamp, in bytes, maxTimes the timestamps and
	// the log entries of a bundle that are looked at.
	maxTimestamp = 64 << 10
	maxTimes     = 10
	// stampLimit bounds one question to a timestamp authority.
	stampLimit = 30 * time.Second
)

// WithTimestamps is the same signer, whose bundles carry an RFC 3161 timestamp
// of the signature by the authority at address, its full URL. With it they
// outlast the key: they prove that they were made while it was valid. A keyless
// signer has its own (KeylessConfig.TimestampURL).
func (s *Signer) WithTimestamps(address string) (*Signer, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("timestamp authority: %q is not the http(s) address of one", address)
	}
	if s.keyless != nil {
		return nil, errors.New("timestamp authority: a keyless signer has its own")
	}
	stamped := *s
	stamped.authority = address
	return &stamped, nil
}

// stampBundle adds a timestamp of sig, the bundle's signature.
func (s *Signer) stampBundle(ctx context.Context, b *protobundle.Bundle, sig []byte) error {
	if s.authority == "" {
		return nil
	}
	response, err := requestTimestamp(ctx, s.authority, sig)
	if err != nil {
		return fmt.Errorf("timestamp: %w", err)
	}
	b.VerificationMaterial.TimestampVerificationData = &protobundle.TimestampVerificationData{
		Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: response}},
	}
	return nil
}

// requestTimestamp asks an authority to stamp sig (RFC 3161, section 3.4).
// Whether it is to be believed is for those who verify to say.
func requestTimestamp(ctx context.Context, address string, sig []byte) ([]byte, error) {
	sum := sha256.Sum256(sig)
	question, err := (&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true}).Marshal()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, stampLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/timestamp-query")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxTimestamp+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", req.URL.Redacted(), err)
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated:
		return nil, fmt.Errorf("%s answers %s: %s", req.URL.Redacted(), res.Status, oneLine(string(body)))
	case len(body) > maxTimestamp:
		return nil, fmt.Errorf("%s answers more than %d bytes", req.URL.Redacted(), maxTimestamp)
	}
	stamped, err := timestamp.ParseResponse(body)
	if err != nil {
		return nil, fmt.Errorf("%s: not a timestamp: %s", req.URL.Redacted(), oneLine(err.Error()))
	}
	if stamped.HashAlgorithm != crypto.SHA256 || !bytes.Equal(stamped.HashedMessage, sum[:]) {
		return nil, fmt.Errorf("%s: the timestamp is of something else", req.URL.Redacted())
	}
	return body, nil
}

// complete says whether a bundle that s made has all that s would put into it:
// a timestamp, if s has them made.
func (s *Signer) complete(bundle []byte) bool {
	if s.authority == "" {
		return true
	}
	b, err := decodeBundle(bundle)
	return err == nil && len(b.GetVerificationMaterial().GetTimestampVerificationData().GetRfc3161Timestamps()) > 0
}

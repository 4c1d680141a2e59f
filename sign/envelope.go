package sign

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// SignStatement signs a ledger record or a channel statement and returns a
// DSSE envelope as JSON, whose keyid is KeyID. The predicate must be a JSON
// object.
func (s *Signer) SignStatement(ctx context.Context, st Statement) ([]byte, error) {
	if !isObject(st.Predicate) {
		return nil, fmt.Errorf("statement about %s: predicate is not a JSON object", st.Subject.Name)
	}
	payload, err := st.encode()
	if err != nil {
		return nil, err
	}
	sig, err := s.signDSSE(ctx, payload)
	if err != nil {
		return nil, err
	}
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures:  []dsse.Signature{{KeyID: s.KeyID(), Sig: base64.StdEncoding.EncodeToString(sig)}},
	})
	if err != nil {
		return nil, err
	}
	if len(envelope) > maxEnvelope {
		return nil, fmt.Errorf("statement about %s: %d bytes, at most %d are verified", st.Subject.Name, len(envelope), maxEnvelope)
	}
	return envelope, nil
}

// VerifyEnvelope verifies an envelope of SignStatement: by one of v's keys, of
// predicateType, about subject. The image's name, Subject.Name, is the
// caller's to compare, as are all fields of the predicate. The dates of keys
// are judged as if it was signed now. ErrInvalid.
func (v *Verifier) VerifyEnvelope(envelope []byte, predicateType string, subject digest.Digest) (Statement, string, error) {
	return v.VerifyEnvelopeAt(envelope, predicateType, subject, time.Time{})
}

// VerifyEnvelopeAt verifies like VerifyEnvelope an envelope of which the caller
// knows, from evidence of its own, that it was signed at signedAt.
func (v *Verifier) VerifyEnvelopeAt(envelope []byte, predicateType string, subject digest.Digest, signedAt time.Time) (Statement, string, error) {
	payload, keyID, err := v.openEnvelope(envelope, signedAt)
	if err != nil {
		return Statement{}, "", err
	}
	st, err := decodeStatement(payload, predicateType, subject)
	if err != nil {
		return Statement{}, "", err
	}
	if !startsObject(st.Predicate) {
		return Statement{}, "", invalid("predicate of %s is not a JSON object", predicateType)
	}
	return st, keyID, nil
}

// openEnvelope returns an envelope's payload and the key that signed it.
func (v *Verifier) openEnvelope(envelope []byte, signedAt time.Time) ([]byte, string, error) {
	if len(envelope) > maxEnvelope {
		return nil, "", invalid("envelope: %d bytes, at most %d are read", len(envelope), maxEnvelope)
	}
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil {
		return nil, "", invalid("envelope: %v", err)
	}
	if err := unambiguous("envelope", envelope, true); err != nil {
		return nil, "", err
	}
	if e.PayloadType != payloadType {
		return nil, "", invalid("envelope of payload type %q, not %s", e.PayloadType, payloadType)
	}
	if len(e.Signatures) == 0 || len(e.Signatures) > maxEnvelopeSigs {
		return nil, "", invalid("envelope with %d signatures, not 1 to %d", len(e.Signatures), maxEnvelopeSigs)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return nil, "", invalid("envelope: payload: %v", err)
	}
	var refused error
	for _, s := range e.Signatures {
		sig, err := base64.StdEncoding.DecodeString(s.Sig)
		if err != nil {
			return nil, "", invalid("envelope: signature: %v", err)
		}
		keyID, err := v.verifyDSSE(sig, payload, signedAt, s.KeyID)
		if err == nil {
			return payload, keyID, nil
		}
		refused = err
	}
	return nil, "", fmt.Errorf("envelope: %w", refused)
}

// isObject says whether raw is one JSON object.
func isObject(raw json.RawMessage) bool {
	return startsObject(bytes.TrimLeft(raw, " \t\r\n")) && json.Valid(raw)
}

// startsObject says whether a value of valid JSON is an object.
func startsObject(value json.RawMessage) bool {
	return len(value) > 0 && value[0] == '{'
}

package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Facts is everything that a decision rests on: the input document of the
// policy. It is data only; the same facts give the same decision. Its zero
// value is denied. docs/policy.md describes each fact.
//
// The fields of Facts and of what it holds are in the order of their JSON
// names, so that what encoding/json writes is canonical.
type Facts struct {
	Action          string          `json:"action"` // "promote" or "rollback"
	Ancestry        Ancestry        `json:"ancestry"`
	Approvals       []Approval      `json:"approvals"` // of this digest
	BakedBy         []string        `json:"baked_by"`  // key ids and identities that signed signatures or provenance
	BeenIn          []string        `json:"been_in"`   // channels that this digest was ever moved to
	Channel         string          `json:"channel"`   // where it shall go
	Channels        []string        `json:"channels"`  // all channels, in the order they are passed
	Digest          string          `json:"digest"`    // manifest digest of the version
	Evidence        []string        `json:"evidence"`  // digests of the manifests of all evidence that these facts rest on
	Image           string          `json:"image"`     // repository, such as acme/shop
	Now             time.Time       `json:"now"`       // RFC 3339, UTC
	Provenance      Provenance      `json:"provenance"`
	RequestedBy     string          `json:"requested_by"`    // who asks: an identity or a key's id
	Revoked         bool            `json:"revoked"`         // the digest itself, in force now
	RevokedBecause  string          `json:"revoked_because"` // reason of that or of the planned revocation, "" without one
	RevokedFrom     *time.Time      `json:"revoked_from"`    // when a planned revocation of it, or of what it was baked on, begins; null without one
	SBOM            SBOM            `json:"sbom"`
	Scan            Scan            `json:"scan"`
	Signatures      []Signature     `json:"signatures"`
	Soak            Soak            `json:"soak"`
	Tests           []Test          `json:"tests"`
	Tier            string          `json:"tier"` // base, middleware or app, from the provenance
	Vulnerabilities Vulnerabilities `json:"vulnerabilities"`
}

// Canonical returns the facts as canonical JSON: sorted keys, no spaces, times
// in UTC and whole seconds, absent lists as empty ones.
func (f Facts) Canonical() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(f.normal()); err != nil {
		return nil, fmt.Errorf("facts of %s: %w", f.Image, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// ParseFacts reads what Canonical wrote, also when it knew fewer facts; those
// are zero then. To evaluate an old text again, and to have its digest, use the
// text (Policy.EvaluateText), not what Canonical makes of these facts.
func ParseFacts(text []byte) (Facts, error) {
	var f Facts
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return Facts{}, fmt.Errorf("parse facts: %w", err)
	}
	return f, nil
}

// FactsDigest is the sha256 digest of the canonical facts.
func FactsDigest(f Facts) (digest.Digest, error) {
	text, err := f.Canonical()
	if err != nil {
		return "", err
	}
	return digest.FromBytes(text), nil
}

// normal are the same facts without absent lists and fractions of seconds. It
// leaves what f holds as it is.
func (f Facts) normal() Facts {
	f.Now = *second(&f.Now)
	f.Ancestry = f.Ancestry.normal()
	f.Approvals = each(f.Approvals, Approval.normal)
	f.BakedBy, f.BeenIn, f.Channels, f.Evidence = nonNil(f.BakedBy), nonNil(f.BeenIn), nonNil(f.Channels), nonNil(f.Evidence)
	f.Provenance = f.Provenance.normal()
	f.SBOM = f.SBOM.normal()
	f.Scan = f.Scan.normal()
	f.Signatures = each(f.Signatures, Signature.normal)
	f.RevokedFrom = second(f.RevokedFrom)
	f.Soak.Since = second(f.Soak.Since)
	f.Tests = nonNil(f.Tests)
	f.Vulnerabilities = f.Vulnerabilities.normal()
	return f
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// each is a new list of what normal makes of the items.
func each[T any](s []T, normal func(T) T) []T {
	list := make([]T, len(s))
	for i, v := range s {
		list[i] = normal(v)
	}
	return list
}

func second(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	s := t.UTC().Truncate(time.Second)
	return &s
}

package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
)

// Facts is everything that a decision rests on: the input document of the
// policy. It is data only; the same facts give the same decision.
type Facts struct {
	Action     string      `json:"action"`   // "promote" or "rollback"
	Now        time.Time   `json:"now"`      // RFC 3339, UTC
	Image      string      `json:"image"`    // repository, such as acme/shop
	Tier       string      `json:"tier"`     // base, middleware or app, from the provenance
	Digest     string      `json:"digest"`   // manifest digest of the version
	Channel    string      `json:"channel"`  // where it shall go
	Channels   []string    `json:"channels"` // all channels, in the order they are passed
	BeenIn     []string    `json:"been_in"`  // channels that this digest was ever moved to
	Signatures []Signature `json:"signatures"`
	Provenance Provenance  `json:"provenance"`
	SBOM       SBOM        `json:"sbom"`
	Tests      []Test      `json:"tests"`
	Scan       Scan        `json:"scan"`
	Revoked    bool        `json:"revoked"`
}

// Signature is a signature of the image whose claims and key were checked.
type Signature struct {
	KeyID   string `json:"key_id"`  // "sha256:" and the hex digest of the DER SubjectPublicKeyInfo
	Trusted bool   `json:"trusted"` // the store's trust lists the key for baking this image
}

// Provenance is what the SLSA provenance of the version says.
type Provenance struct {
	Present bool   `json:"present"`
	Trusted bool   `json:"trusted"` // signed by a key that the trust lists for baking this image
	Subject string `json:"subject"` // digest that it speaks of
	Image   string `json:"image"`   // externalParameters.image
	Builder string `json:"builder"` // runDetails.builder.id
	Commit  string `json:"commit"`  // git commit of the template, "" if unknown
}

// SBOM says whether a software bill of materials is attached.
type SBOM struct {
	Present bool   `json:"present"`
	Trusted bool   `json:"trusted"`
	Format  string `json:"format"` // predicate type
}

// Test is the attested result of one test.
type Test struct {
	Name    string `json:"name"`
	Passed  bool   `json:"passed"`
	Trusted bool   `json:"trusted"`
}

// Scan says what the attested scan for secrets found, and what it saw exposed.
// Of several one that passed counts: a trusted key allowed what others found.
type Scan struct {
	Present bool   `json:"present"`
	Trusted bool   `json:"trusted"`
	Passed  bool   `json:"passed"`  // no secret was found that nobody allowed
	Rules   string `json:"rules"`   // digest of the rules, hex
	Allowed int    `json:"allowed"` // secrets that the template allows, with a reason
	// Of the image's content and configuration, as evidence:
	Setuid       []string `json:"setuid"`
	Setgid       []string `json:"setgid"`
	Writable     []string `json:"world_writable"`
	Capabilities []string `json:"capabilities"`
	Ports        []string `json:"ports"`
	Root         bool     `json:"root"`
}

// Canonical returns the facts as canonical JSON: sorted keys, no spaces, the
// time in UTC, absent lists as empty ones.
func (f Facts) Canonical() ([]byte, error) {
	_, text, err := f.document()
	return text, err
}

// document is the canonical text and the same as a generic value.
func (f Facts) document() (any, []byte, error) {
	f.Now = f.Now.UTC().Truncate(time.Second)
	f.Channels = nonNil(f.Channels)
	f.BeenIn = nonNil(f.BeenIn)
	f.Signatures = nonNil(f.Signatures)
	f.Tests = nonNil(f.Tests)
	for _, list := range []*[]string{&f.Scan.Setuid, &f.Scan.Setgid, &f.Scan.Writable, &f.Scan.Capabilities, &f.Scan.Ports} {
		*list = nonNil(*list)
	}
	raw, err := json.Marshal(f)
	if err != nil {
		return nil, nil, fmt.Errorf("facts of %s: %w", f.Image, err)
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, nil, fmt.Errorf("facts of %s: %w", f.Image, err)
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, nil, fmt.Errorf("facts of %s: %w", f.Image, err)
	}
	return doc, bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// ParseFacts reads what Canonical wrote, to evaluate it again.
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

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

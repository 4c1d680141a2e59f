package sign

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Predicate types that kiln writes.
const (
	// SignaturePredicate marks a bundle that is a signature of an image.
	SignaturePredicate = "https://sigstore.dev/cosign/sign/v1"
	// SPDXPredicate, CycloneDXPredicate, ProvenancePredicate and
	// TestPredicate mark attestations.
	SPDXPredicate       = "https://spdx.dev/Document"
	CycloneDXPredicate  = "https://cyclonedx.org/bom"
	ProvenancePredicate = "https://slsa.dev/provenance/v1"
	TestPredicate       = "https://in-toto.io/attestation/test-result/v0.1"
	// VulnPredicate marks a report of vulnerabilities, as cosign has it.
	VulnPredicate = "https://cosign.sigstore.dev/attestation/vuln/v1"
	// SummaryPredicate marks a promotion told as a SLSA verification summary.
	SummaryPredicate = "https://slsa.dev/verification_summary/v1"
	// ApprovalPredicate marks the word of somebody who approves a promotion.
	ApprovalPredicate = "urn:kiln:approval:v1"
	// PromotionPredicate marks a ledger record, ChannelPredicate a channel
	// statement. They are never attestations.
	PromotionPredicate = "urn:kiln:promotion:v1"
	ChannelPredicate   = "urn:kiln:channel:v1"
)

const (
	statementType = "https://in-toto.io/Statement/v1"
	// oldStatementType is what cosign writes for attestations; the same fields.
	oldStatementType = "https://in-toto.io/Statement/v0.1"
	// payloadType is the DSSE payload type of in-toto statements.
	payloadType = "application/vnd.in-toto+json"
)

// Subject is what a statement is about.
type Subject struct {
	Name   string // of the image, without host
	Digest digest.Digest
}

// Statement is an in-toto Statement v1 about one image.
type Statement struct {
	Subject       Subject
	PredicateType string
	Predicate     json.RawMessage // a JSON object; none for signatures
}

// statementJSON is the wire form.
type statementJSON struct {
	Type          string          `json:"_type"`
	Subject       []subjectJSON   `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate,omitempty"`
}

type subjectJSON struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// encode checks and marshals a statement.
func (s Statement) encode() ([]byte, error) {
	if err := checkSubject(s.Subject.Name, s.Subject.Digest); err != nil {
		return nil, err
	}
	if s.PredicateType == "" {
		return nil, invalid("statement about %s: predicate type required", s.Subject.Name)
	}
	d := s.Subject.Digest
	return json.Marshal(statementJSON{
		Type: statementType,
		Subject: []subjectJSON{{
			Name:   s.Subject.Name,
			Digest: map[string]string{d.Algorithm().String(): d.Encoded()},
		}},
		PredicateType: s.PredicateType,
		Predicate:     s.Predicate,
	})
}

// decodeStatement reads a payload whose signature has been checked, and
// requires that it is a Statement v1 about d, of predicateType, that names an
// image.
func decodeStatement(payload []byte, predicateType string, d digest.Digest) (Statement, error) {
	st, err := parseStatement(payload, predicateType, d, statementType)
	if err != nil {
		return Statement{}, err
	}
	if st.Subject.Name == "" {
		return Statement{}, invalid("statement about %s names no image", d)
	}
	return st, nil
}

// parseStatement reads a statement of one of types about d, of predicateType,
// whose subject may have no name.
func parseStatement(payload []byte, predicateType string, d digest.Digest, types ...string) (Statement, error) {
	raw, err := readStatement(payload, strings.HasPrefix(predicateType, "urn:kiln:"))
	if err != nil {
		return Statement{}, err
	}
	if !slices.Contains(types, raw.kind) {
		return Statement{}, invalid("statement of type %q, not %s", raw.kind, types[0])
	}
	if predicateType == "" || raw.predicateType != predicateType {
		return Statement{}, invalid("predicate type %q, not %q", raw.predicateType, predicateType)
	}
	if len(raw.subjects) != 1 {
		return Statement{}, invalid("statement with %d subjects, not one", len(raw.subjects))
	}
	if err := d.Validate(); err != nil {
		return Statement{}, invalid("digest %q: %v", d, err)
	}
	subject := raw.subjects[0]
	if !subject.isAbout(d) {
		return Statement{}, invalid("statement about another digest (%s), not %s", subject.digests, d)
	}
	return Statement{
		Subject:       Subject{Name: subject.name, Digest: d},
		PredicateType: raw.predicateType,
		Predicate:     raw.predicate,
	}, nil
}

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kiln/registry"
	"kiln/registry/store"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// summary is a SLSA verification summary (VSA v1) of an allowed move, for
// readers that know no ledger. Nothing of kiln rests on one.
type summary struct {
	Verifier struct {
		ID string `json:"id"`
	} `json:"verifier"`
	TimeVerified       time.Time           `json:"timeVerified"`
	ResourceURI        string              `json:"resourceUri"`
	Policy             summaryResource     `json:"policy"`
	InputAttestations  []summaryResource   `json:"inputAttestations,omitempty"`
	VerificationResult string              `json:"verificationResult"`
	VerifiedLevels     []string            `json:"verifiedLevels"`
	SLSAVersion        string              `json:"slsaVersion"`
	Promotion          summarizedPromotion `json:"urn:kiln:promotion:v1"`
}

type summaryResource struct {
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

// summarizedPromotion says which move it was: an extension field.
type summarizedPromotion struct {
	Record   digest.Digest `json:"record"`
	Action   Action        `json:"action"`
	Channel  string        `json:"channel"`
	Sequence int64         `json:"sequence"`
}

// maxInputs bounds the attestations that a summary lists.
const maxInputs = 1000

// VerifierID names a store as a verifier in a verification summary.
func VerifierID(storeID string) string { return "urn:kiln:store:" + storeID }

// summarize attaches the summary of a move to its version, signed by the
// promotion key. It follows from the record and the facts that this names, so
// the same again adds nothing. The move has happened: what fails here is
// logged, and made up for when the same is promoted again.
func (s *Service) summarize(ctx context.Context, image string, record digest.Digest, subject ocispec.Descriptor) {
	if s.signer == nil {
		return
	}
	ctx = context.WithoutCancel(ctx)
	if err := s.attachSummary(ctx, image, record, subject); err != nil {
		s.log.Warn("promotion not summarized yet", "repo", image, "digest", string(record), "err", err)
	}
}

func (s *Service) attachSummary(ctx context.Context, image string, d digest.Digest, subject ocispec.Descriptor) error {
	r, err := s.record(ctx, image, d)
	if err != nil {
		return err
	}
	if _, err := s.admit(ctx, s.mover(image, r.Channel, "", false)); err != nil {
		return err
	}
	about, err := s.summary(ctx, r, d)
	if err != nil {
		return err
	}
	_, err = s.signer.Attest(ctx, attaching{s.registry}, image, subject, sign.SummaryPredicate, about)
	return err
}

// summary tells a record, and the facts that it names, as a VSA.
func (s *Service) summary(ctx context.Context, r Record, d digest.Digest) (summary, error) {
	v := summary{
		TimeVerified: r.At.UTC(), ResourceURI: fmt.Sprintf("oci://%s@%s", r.Image, r.Digest),
		Policy:             summaryResource{URI: "urn:kiln:policy:" + string(r.Policy), Digest: digestSet(r.Policy)},
		VerificationResult: "PASSED", VerifiedLevels: []string{"SLSA_BUILD_LEVEL_0"}, SLSAVersion: "1.0",
		Promotion: summarizedPromotion{Record: d, Action: r.Action, Channel: r.Channel, Sequence: r.Sequence},
	}
	v.Verifier.ID = VerifierID(r.StoreID)
	text, err := s.readPacked(ctx, decidedKey(r.Image, r.Facts), maxFacts)
	if errors.Is(err, store.ErrNotFound) { // of a kiln that kept none
		return v, nil
	}
	if err != nil {
		return v, err
	}
	var f struct {
		Evidence   []digest.Digest `json:"evidence"`
		Provenance struct {
			Trusted bool `json:"trusted"`
		} `json:"provenance"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return v, fmt.Errorf("facts %s: %w", r.Facts, err)
	}
	if f.Provenance.Trusted { // more depends on where it was baked: docs/security.md
		v.VerifiedLevels = []string{"SLSA_BUILD_LEVEL_1"}
	}
	for _, e := range f.Evidence[:min(len(f.Evidence), maxInputs)] {
		v.InputAttestations = append(v.InputAttestations, summaryResource{
			URI: fmt.Sprintf("oci://%s@%s", r.Image, e), Digest: digestSet(e),
		})
	}
	return v, nil
}

// attaching lets sign write into the registry.
type attaching struct{ registry.Registry }

// PushEvidence implements sign.Evidence.
func (a attaching) PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	m := registry.Manifest{MediaType: mediaType, Content: content}
	if tag != "" {
		m.Tags = []string{tag}
	}
	return a.PushManifest(ctx, repo, m)
}

// digestSet is a digest as in-toto has it.
func digestSet(d digest.Digest) map[string]string {
	if d.Validate() != nil {
		return map[string]string{}
	}
	return map[string]string{string(d.Algorithm()): d.Encoded()}
}

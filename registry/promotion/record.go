package promotion

import (
	"encoding/json"
	"fmt"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// Types on disk and on the wire.
const (
	// RecordArtifactType is the artifactType of a record's manifest.
	RecordArtifactType = "application/vnd.kiln.promotion.v1+json"
	// RecordPredicateType is the predicate type of a record's statement.
	RecordPredicateType = "urn:kiln:promotion:v1"
	// StatementPredicateType is that of a channel statement.
	StatementPredicateType = "urn:kiln:channel:v1"
	// EnvelopeMediaType is the media type of a DSSE envelope.
	EnvelopeMediaType = "application/vnd.dsse.envelope.v1+json"
)

// Action is what a record did.
type Action string

// The actions that a ledger knows.
const (
	ActionPromote  Action = "promote"
	ActionRollback Action = "rollback"
	ActionRevoke   Action = "revoke"
	ActionRestore  Action = "restore"
	ActionApprove  Action = "approve"
)

func (a Action) valid() bool {
	switch a {
	case ActionPromote, ActionRollback, ActionRevoke, ActionRestore, ActionApprove:
		return true
	}
	return false
}

// Record is the predicate of one link of an image's ledger.
type Record struct {
	StoreID string        `json:"store_id"`
	Image   string        `json:"image"`
	Channel string        `json:"channel"` // "" for actions on the version itself
	Action  Action        `json:"action"`
	Digest  digest.Digest `json:"digest"`
	// Previous is what the channel held before, "" for nothing.
	Previous digest.Digest `json:"previous"`
	Sequence int64         `json:"sequence"` // from 1, without gaps
	// PrevRecord and PrevInChannel are the digests of the image's and of the
	// channel's record before this one, "" for the first.
	PrevRecord    digest.Digest `json:"prev_record"`
	PrevInChannel digest.Digest `json:"prev_in_channel"`
	At            time.Time     `json:"at"`
	By            string        `json:"by"`
	Reason        string        `json:"reason"`
	Policy        digest.Digest `json:"policy"` // of the policy that allowed it
	Facts         digest.Digest `json:"facts"`  // of the facts it decided on
	// Effective is from when on a revocation holds, if that is not At.
	Effective *time.Time `json:"effective,omitempty"`
	// NoDescendants: the revocation is not inherited.
	NoDescendants bool `json:"no_descendants,omitempty"`
	// Covers are the images of the platforms of an index that is revoked or
	// restored.
	Covers []digest.Digest `json:"covers,omitempty"`
	// Evidence is the manifest that holds a signed approval.
	Evidence digest.Digest `json:"evidence,omitempty"`
}

// decodeRecord reads a record's predicate and refuses what cannot be one.
func decodeRecord(predicate []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(predicate, &r); err != nil {
		return Record{}, fmt.Errorf("parse record: %w", err)
	}
	return r, r.check()
}

func (r Record) check() error {
	if err := registry.CheckName(r.Image); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := registry.CheckDigest(r.Digest); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	for _, d := range append([]digest.Digest{r.Previous, r.PrevRecord, r.PrevInChannel, r.Policy, r.Facts, r.Evidence}, r.Covers...) {
		if d == "" {
			continue
		}
		if err := registry.CheckDigest(d); err != nil {
			return fmt.Errorf("record: %w", err)
		}
	}
	switch {
	case !r.Action.valid():
		return fmt.Errorf("record: unknown action %q", r.Action)
	case r.Channel == "" && (r.Action == ActionPromote || r.Action == ActionRollback):
		return fmt.Errorf("record: a %s without a channel", r.Action)
	case r.Channel != "" && registry.CheckTag(r.Channel) != nil:
		return fmt.Errorf("record: invalid channel %q", r.Channel)
	case r.Sequence < 1, (r.Sequence == 1) != (r.PrevRecord == ""):
		return fmt.Errorf("record: sequence %d with previous record %q", r.Sequence, r.PrevRecord)
	case len(r.Covers) > maxCovers:
		return fmt.Errorf("record: it covers %d images, at most %d", len(r.Covers), maxCovers)
	case r.StoreID == "":
		return fmt.Errorf("record: no store id")
	}
	return nil
}

// entry is the record in short; d is its digest.
func (r Record) entry(d digest.Digest) Entry {
	return Entry{
		Sequence: r.Sequence, Action: r.Action, Channel: r.Channel, Digest: r.Digest, Previous: r.Previous,
		At: r.At, By: r.By, Reason: r.Reason, Record: d,
	}
}

// promotion is the record as the outcome of an operation.
func (r Record) promotion(d digest.Digest) Promotion {
	return Promotion{
		Schema: PromotionSchema, Image: r.Image, Channel: r.Channel, Digest: r.Digest,
		Previous: r.Previous, Sequence: r.Sequence, Record: d,
	}
}

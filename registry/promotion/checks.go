package promotion

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
)

// CheckRequest asks what a promotion of Digest to Channel would say.
type CheckRequest struct {
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel"`
	By      string        `json:"-"` // who would promote; "" is the promotion key's id
}

// CheckSchema is the schema of a Check.
const CheckSchema = "kiln.check/v1"

// Check is what a promotion would say, and why. Nothing moved, and nothing of
// it is kept.
type Check struct {
	Schema  string        `json:"schema"`
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel"`
	At      time.Time     `json:"at"`
	Allow   bool          `json:"allow"`
	// Findings go through what is known of the version, one by one, those that
	// policy or trust refuse with what would satisfy them.
	Findings []Finding `json:"findings"`
	// Reasons are what the policy has against it.
	Reasons []Reason `json:"reasons"`
	// Refusals are against it from outside the policy: an untrusted promotion
	// key, a missing version tag, more evidence than is read.
	Refusals []Reason      `json:"refusals"`
	Policy   digest.Digest `json:"policy"` // of the policy's source
	Facts    digest.Digest `json:"facts"`  // of the canonical facts
	// Ignored says why some of what is attached does not count; may be "".
	Ignored string `json:"ignored,omitempty"`
	// Document are the facts themselves; absent if they could not be gathered,
	// and for who may not pull all that the version was baked on.
	Document json.RawMessage `json:"document,omitempty"`
}

// Finding is one line of a Check: a rule, what is known for it, and whether it
// stands in the way.
type Finding struct {
	Rule string `json:"rule"`
	OK   bool   `json:"ok"`
	// Unasked: no rule of the policy has this name, so it is a mere fact.
	Unasked bool   `json:"unasked,omitempty"`
	Fact    string `json:"fact"`
	Fix     string `json:"fix,omitempty"`
}

// DecisionsRequest asks for the decisions about Image, newest first, or for the
// one that Record names, whole.
type DecisionsRequest struct {
	Image string `json:"image"`
	// Record is the digest of a record of the ledger, or of a decision.
	Record digest.Digest `json:"record,omitempty"`
	Limit  int           `json:"limit,omitempty"`
	Cursor string        `json:"cursor,omitempty"`
}

// DecisionsSchema is the schema of a DecisionList.
const DecisionsSchema = "kiln.decisions/v1"

// DecisionList is a page of decisions, newest first. Of the allowed ones it
// lists those that are among the last MaxDecisions of the image; the rest are
// found by their records.
type DecisionList struct {
	Schema    string     `json:"schema"`
	Image     string     `json:"image"`
	Decisions []Decision `json:"decisions"`
	Next      string     `json:"next,omitempty"` // "" on the last page
}

// Decision is what was decided about one promotion or rollback, and on what.
type Decision struct {
	// ID is the digest of the decision as it was kept; "" for one that is known
	// only by its record.
	ID      digest.Digest `json:"id,omitempty"`
	At      time.Time     `json:"at"`
	By      string        `json:"by"`
	Action  Action        `json:"action"`
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel"`
	// Allow is what the policy said; with Refusals the move was refused all the
	// same.
	Allow   bool     `json:"allow"`
	Reasons []Reason `json:"reasons"` // the policy's
	// Refusals are against the move from outside the policy: an untrusted
	// promotion key, a missing version tag, evidence beyond bounds.
	Refusals []Reason      `json:"refusals,omitempty"`
	Policy   digest.Digest `json:"policy"`           // of the policy's source; "" if none was asked
	Facts    digest.Digest `json:"facts"`            // of the canonical facts; "" if none were gathered
	Record   digest.Digest `json:"record,omitempty"` // in the ledger, if the channel moved

	// Only where one decision was asked for:

	// Document are the facts themselves.
	Document json.RawMessage `json:"document,omitempty"`
	// Source is the policy, by file name.
	Source map[string]string `json:"source,omitempty"`
	// Manifest is the record's, byte for byte, and Envelope its one layer: the
	// record itself in a DSSE envelope that a promotion key signed.
	Manifest string `json:"manifest,omitempty"`
	Envelope string `json:"envelope,omitempty"`
}

// Denied says whether nothing moved because of policy or trust.
func (d Decision) Denied() bool { return !d.Allow || len(d.Refusals) > 0 }

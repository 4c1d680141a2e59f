package promotion

import (
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
)

// ApproveRequest says yes to promoting Digest of Image to Channel, or to any
// channel for "".
type ApproveRequest struct {
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel,omitempty"`
	Reason  string        `json:"reason,omitempty"` // at most MaxReason bytes
	// Approval is the word itself, a Sigstore bundle of an ApprovalStatement
	// by a key or an identity that the trust lists for approving. Without one
	// the word is By's, whom the server knows.
	Approval json.RawMessage `json:"approval,omitempty"`
	By       string          `json:"-"`
}

// ApprovalStatement is the predicate of an approval (sign.ApprovalPredicate),
// whose subject is the image and the digest.
type ApprovalStatement struct {
	StoreID string        `json:"store_id"`
	Image   string        `json:"image"`
	Channel string        `json:"channel"` // "" for any
	Digest  digest.Digest `json:"digest"`
	Reason  string        `json:"reason"`
	At      time.Time     `json:"at"`
}

// ApprovalSchema is the schema of an Approval.
const ApprovalSchema = "kiln.approval/v1"

// Approval is somebody's yes to a promotion, as the ledger has it.
type Approval struct {
	Schema  string        `json:"schema,omitempty"` // absent in an ApprovalList
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel"` // "" for any
	Reason  string        `json:"reason"`
	At      time.Time     `json:"at"`
	By      string        `json:"by"` // who asked for the record
	// KeyID is who signed the approval: the id of a key, or of an identity;
	// "" where By's word is all there is.
	KeyID string `json:"key_id,omitempty"`
	// Evidence is the digest of the manifest that holds the signed approval.
	Evidence digest.Digest `json:"evidence,omitempty"`
	// Trusted: the ledger's record of it is signed by a key that may promote,
	// and the approval, if it is signed, by who may approve, now.
	Trusted bool `json:"trusted"`
	// TrustedIn are the channels in which an approval for any is trusted, where
	// that is not all of them.
	TrustedIn []string      `json:"trusted_in,omitempty"`
	Sequence  int64         `json:"sequence"`
	Record    digest.Digest `json:"record"`
	// Unchanged: the same one approved this already; this is that record.
	Unchanged bool `json:"unchanged,omitempty"`
	// RecordedKey is the id of the promotion key if this was the first use of
	// any, which put it into the trust.
	RecordedKey string `json:"recorded_key,omitempty"`
}

// counts tells whether it is trusted in some channel.
func (a Approval) counts() bool { return a.Trusted || len(a.TrustedIn) > 0 }

// ApprovalsRequest asks who approved Digest of Image: for Channel, or for any
// where it is "".
type ApprovalsRequest struct {
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel,omitempty"`
}

// ApprovalsSchema is the schema of an ApprovalList.
const ApprovalsSchema = "kiln.approvals/v1"

// ApprovalList is who approved a version, newest first; nobody is in it twice
// for the same channel. StoreID is what an ApprovalStatement has to name.
type ApprovalList struct {
	Schema    string        `json:"schema"`
	StoreID   string        `json:"store_id"`
	Image     string        `json:"image"`
	Digest    digest.Digest `json:"digest"`
	Approvals []Approval    `json:"approvals"`
}

package promotion

import (
	"context"
	"encoding/json"
	"time"

	"github.com/opencontainers/go-digest"
)

// Operations is what a person or a deployer can ask. *Service answers it over
// a store, an HTTP client over a server. The structs below are also the bodies
// of the HTTP API; a request's By never crosses the wire: there it is the
// authenticated identity.
//
// Every method returns KindInvalid for malformed names, and KindNotFound for
// an image, digest or channel that is not there.
type Operations interface {
	// Promote moves a channel to a digest if trust and policy allow it:
	// KindDenied with the reasons, KindConflict if that channel moved since
	// it was read or is not at Expect. Promoting what the channel holds
	// changes nothing and returns the existing record.
	Promote(ctx context.Context, req PromoteRequest) (Promotion, error)
	// Check says what Promote would say, fact by fact, and changes nothing.
	Check(ctx context.Context, req CheckRequest) (Check, error)
	// Decisions lists what was decided about promotions and rollbacks, newest
	// first; with a Record that one, whole, so that it can be replayed.
	Decisions(ctx context.Context, req DecisionsRequest) (DecisionList, error)
	// Rollback moves a channel to what it held before: see RollbackRequest.
	Rollback(ctx context.Context, req RollbackRequest) (Promotion, error)
	// Resolve says what a channel holds. KindRevoked if that is revoked,
	// KindVerification if its manifest is damaged.
	Resolve(ctx context.Context, req ResolveRequest) (Resolution, error)
	// History lists the ledger, newest first.
	History(ctx context.Context, req HistoryRequest) (History, error)
	// Versions lists what was baked, newest first.
	Versions(ctx context.Context, req VersionsRequest) (Versions, error)
	// Ancestry says what a version was baked on, and what on it.
	Ancestry(ctx context.Context, req AncestryRequest) (Ancestry, error)
	// Images lists the images in byte order.
	Images(ctx context.Context, req ImagesRequest) (Images, error)
	// Channels lists an image's channels in the order they are passed.
	Channels(ctx context.Context, req ChannelsRequest) (ChannelList, error)
	// Renew issues the statements of channels anew.
	Renew(ctx context.Context, req RenewRequest) (Renewal, error)
	// Revoke declares a version unusable, now or from a time on: channels that
	// hold it, or what was baked on it, stop answering. KindNotFound for a
	// digest that the image neither has nor ever had in its ledger.
	Revoke(ctx context.Context, req RevokeRequest) (Revocation, error)
	// Restore takes a revocation back; KindNotFound if there is none.
	Restore(ctx context.Context, req RestoreRequest) (Restoration, error)
	// Revocations lists what is revoked or soon will be, by image and digest.
	Revocations(ctx context.Context, req RevocationsRequest) (RevocationList, error)
	// Approve says yes to a promotion. KindDenied for a key or an identity that
	// the trust does not list for it, and where nobody is known to say it.
	Approve(ctx context.Context, req ApproveRequest) (Approval, error)
	// Approvals lists who said yes, checked against the trust as it is now.
	Approvals(ctx context.Context, req ApprovalsRequest) (ApprovalList, error)
	// Trust lists the keys and identities of the store's trust.
	Trust(ctx context.Context) (Trust, error)
	// AddTrust lists a key or an identity and returns the entry. For the same
	// role, principal and pattern again it changes the channels and dates that
	// the request names; the same entry again is fine.
	AddTrust(ctx context.Context, req TrustRequest) (TrustEntry, error)
	// RemoveTrust removes the entries of a key or an identity; KindNotFound if
	// there is none.
	RemoveTrust(ctx context.Context, req TrustRequest) (Trust, error)
	// SetTrustRoot sets the Sigstore trusted root that identities are held
	// against. KindInvalid for one that nothing could be held against.
	SetTrustRoot(ctx context.Context, req TrustRootRequest) (Trust, error)
	// Lease takes a deployer's word that it runs a digest, which from then on
	// is not collected; the same holder again extends it. KindNotFound if the
	// image does not have the digest (any more), KindDenied over a quota and
	// for a holder that somebody else leases under.
	Lease(ctx context.Context, req LeaseRequest) (Lease, error)
	// Release ends a lease before its time. KindNotFound if there is none,
	// KindDenied if somebody else took it.
	Release(ctx context.Context, req ReleaseRequest) error
	// Leases lists the leases that have not expired, by digest and holder.
	Leases(ctx context.Context, req LeasesRequest) (LeaseList, error)
	// Delete removes a version: its tags, its manifest and what is attached.
	// KindDenied with the reasons while a channel, the kept part of a
	// channel's history, a lease or a version that was baked on it needs it,
	// and for a record of the ledger.
	Delete(ctx context.Context, req DeleteRequest) (Deletion, error)
	// Collect retires the versions that no retention rule keeps and removes
	// what nothing reaches; without Apply it only says what it would do. An
	// incomplete view of the store is an error, and then nothing is removed.
	Collect(ctx context.Context, req CollectRequest) (CollectResult, error)
}

// PromoteRequest asks to move Channel of Image to Digest.
type PromoteRequest struct {
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel"`
	Reason  string        `json:"reason,omitempty"` // at most MaxReason bytes
	// Expect is the digest that the channel must hold now, ExpectNone for
	// nothing, "" for whatever it holds.
	Expect string `json:"expect,omitempty"`
	By     string `json:"-"` // who asks; "" is the promotion key's id
}

// RollbackRequest asks to move Channel of Image back: to the newest digest that
// it held before and that is neither revoked nor was ever rolled back from, or
// to To, which it must have held.
type RollbackRequest struct {
	Image   string        `json:"image"`
	Channel string        `json:"channel"`
	To      digest.Digest `json:"to,omitempty"`
	Reason  string        `json:"reason,omitempty"`
	Expect  string        `json:"expect,omitempty"`
	By      string        `json:"-"`
}

// ExpectNone expects a channel that holds nothing.
const ExpectNone = "none"

// MaxReason bounds a reason, in bytes.
const MaxReason = 1000

// PromotionSchema is the schema of a Promotion.
const PromotionSchema = "kiln.promotion/v1"

// Promotion is the outcome of Promote and Rollback.
type Promotion struct {
	Schema   string        `json:"schema"`
	Image    string        `json:"image"`
	Channel  string        `json:"channel"`
	Digest   digest.Digest `json:"digest"`
	Previous digest.Digest `json:"previous"` // what the channel held; "" for nothing
	Sequence int64         `json:"sequence"` // of the record in the image's ledger, from 1
	Record   digest.Digest `json:"record"`   // of the record's manifest
	// Unchanged: the channel held Digest already; this is the existing record.
	Unchanged bool `json:"unchanged,omitempty"`
	// RevokedBecause is why the channel answers nothing all the same: the version, or
	// what it was baked on, was revoked while it was promoted. "" if it was not.
	RevokedBecause string `json:"revoked_because,omitempty"`
	// RecordedKey is the id of the promotion key if this was the first use of
	// any, which put it into the trust.
	RecordedKey string `json:"recorded_key,omitempty"`
}

// ResolveRequest asks what Channel of Image holds.
type ResolveRequest struct {
	Image   string `json:"image"`
	Channel string `json:"channel"`
}

// ResolveSchema is the schema of a Resolution.
const ResolveSchema = "kiln.resolve/v1"

// Resolution is the answer: what is the latest of this channel. Nothing in it
// is to be believed before VerifyResolution has checked it.
type Resolution struct {
	Schema     string        `json:"schema"`
	Image      string        `json:"image"`
	Channel    string        `json:"channel"`
	Digest     digest.Digest `json:"digest"`
	Reference  string        `json:"reference"` // image@digest; a server puts its host in front
	Tags       []string      `json:"tags"`      // version tags
	Sequence   int64         `json:"sequence"`  // the statement's
	PromotedAt time.Time     `json:"promoted_at"`
	PromotedBy string        `json:"promoted_by"`
	Revoked    bool          `json:"revoked"`
	Platforms  []string      `json:"platforms"` // os/architecture[/variant]
	Evidence   []Evidence    `json:"evidence"`
	// Statement is the signed channel statement, a DSSE envelope.
	Statement json.RawMessage `json:"statement"`
}

// Evidence is one signature or attestation of a version.
type Evidence struct {
	Digest        digest.Digest `json:"digest"`         // of its manifest
	PredicateType string        `json:"predicate_type"` // as its manifest says; unchecked
	// Bundle is the Sigstore bundle; absent where it is larger than what a
	// resolution carries inline.
	Bundle json.RawMessage `json:"bundle,omitempty"`
}

// HistoryRequest asks for records of Image, of one channel if Channel is given.
type HistoryRequest struct {
	Image   string `json:"image"`
	Channel string `json:"channel,omitempty"`
	Limit   int    `json:"limit,omitempty"`  // 0 is DefaultLimit; at most MaxLimit
	Cursor  string `json:"cursor,omitempty"` // Next of the page before
}

// Limits of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// HistorySchema is the schema of a History.
const HistorySchema = "kiln.history/v1"

// History is a page of the ledger, newest first.
type History struct {
	Schema  string  `json:"schema"`
	Image   string  `json:"image"`
	Entries []Entry `json:"entries"`
	Next    string  `json:"next,omitempty"` // "" on the last page
}

// Entry is a record of the ledger in short.
type Entry struct {
	Sequence int64         `json:"sequence"`
	Action   Action        `json:"action"`
	Channel  string        `json:"channel"`
	Digest   digest.Digest `json:"digest"`
	Previous digest.Digest `json:"previous"`
	At       time.Time     `json:"at"`
	By       string        `json:"by"` // who asked for it, or the key that signed the record
	// KeyID is who signed an approval, if the trust lists them for approving now:
	// the id of a key, or of an identity.
	KeyID  string        `json:"key_id,omitempty"`
	Reason string        `json:"reason"`
	Record digest.Digest `json:"record"`
}

package promotion

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// RevokeRequest asks to declare Digest of Image unusable. Any digest will do
// that the image has, or that its ledger names.
type RevokeRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Reason string        `json:"reason"` // required; at most MaxReason bytes
	// At is from when on it is unusable; now if nil. It cannot lie in the past.
	At *time.Time `json:"at,omitempty"`
	// NoDescendants leaves what was baked on it usable.
	NoDescendants bool   `json:"no_descendants,omitempty"`
	By            string `json:"-"` // who asks; "" is the promotion key's id
}

// RevocationSchema is the schema of a Revocation.
const RevocationSchema = "kiln.revocation/v1"

// Revocation is a version that must not be used from a time on.
type Revocation struct {
	Schema string        `json:"schema,omitempty"` // absent in a RevocationList
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Reason string        `json:"reason"`
	At     time.Time     `json:"at"` // from when on
	// InForce: At has come.
	InForce bool `json:"in_force"`
	// NoDescendants: what was baked on it stays usable.
	NoDescendants bool          `json:"no_descendants"`
	RevokedAt     time.Time     `json:"revoked_at"` // when it was said
	By            string        `json:"by"`
	Sequence      int64         `json:"sequence"` // of the record in the image's ledger
	Record        digest.Digest `json:"record"`   // of the record's manifest
	// Unchanged: the ledger says just that already; this is the existing record.
	Unchanged bool `json:"unchanged,omitempty"`
	// RecordedKey is the id of the promotion key if this was the first use of
	// any, which put it into the trust.
	RecordedKey string `json:"recorded_key,omitempty"`
	// Channels hold the version, or one that was baked on it, and answer it no
	// more once the revocation is in force. The list rests on the index of
	// descendants, a hint: channels that it misses stop all the same.
	Channels []StoppedChannel `json:"channels,omitempty"`
	// Descendants were baked on it, as that index says, at most MaxStopped;
	// Truncated says that there are, or may be, more.
	Descendants []Descendant `json:"descendants,omitempty"`
	Truncated   bool         `json:"truncated,omitempty"`
}

// MaxStopped bounds the descendants that a Revocation lists.
const MaxStopped = 1000

// StoppedChannel is a channel that holds what is revoked.
type StoppedChannel struct {
	Image   string        `json:"image"`
	Channel string        `json:"channel"`
	Digest  digest.Digest `json:"digest"`
	// Outlives is until when the channel's statement lasts, past the time of a
	// planned revocation: the promotion key may not issue it anew, Renew by one
	// that may does. Absent where it ends in time.
	Outlives *time.Time `json:"outlives,omitempty"`
}

// RestoreRequest asks to take the revocation of Digest of Image back, be it in
// force or yet to come.
type RestoreRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Reason string        `json:"reason"` // required
	By     string        `json:"-"`
}

// RestorationSchema is the schema of a Restoration.
const RestorationSchema = "kiln.restoration/v1"

// Restoration is a revocation that was taken back.
type Restoration struct {
	Schema   string        `json:"schema"`
	Image    string        `json:"image"`
	Digest   digest.Digest `json:"digest"`
	Reason   string        `json:"reason"`
	At       time.Time     `json:"at"`
	By       string        `json:"by"`
	Sequence int64         `json:"sequence"`
	Record   digest.Digest `json:"record"`
}

// RevocationsRequest asks what is revoked, or soon will be: of Image, or of all
// images for "".
type RevocationsRequest struct {
	Image  string `json:"image,omitempty"`
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// RevocationsSchema is the schema of a RevocationList.
const RevocationsSchema = "kiln.revocations/v1"

// RevocationList is a page of revocations, by image and digest. A page may hold
// fewer than its limit.
type RevocationList struct {
	Schema      string       `json:"schema"`
	Revocations []Revocation `json:"revocations"`
	Next        string       `json:"next"` // "" on the last page
}

// Cursor continues a list behind r.
func (r Revocation) Cursor() string { return r.Image + "@" + string(r.Digest) }

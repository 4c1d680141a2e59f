package promotion

import (
	"encoding/json"
	"slices"
	"time"

	"kiln/sign"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/opencontainers/go-digest"
)

// Role is what a key or an identity may do.
type Role string

// The roles.
const (
	RoleBake    Role = "bake"    // sign images and their evidence
	RolePromote Role = "promote" // sign records and statements
	RoleApprove Role = "approve" // sign approvals
)

// EveryImage is the pattern of an entry that is good for all images.
const EveryImage = "**"

// TrustSchema is the schema of a Trust.
const TrustSchema = "kiln.trust/v1"

// maxTrust bounds the entries of a trust.
const maxTrust = 1000

// Trust lists which keys and identities may do what. It is the value of the
// store's trust pointer, and what a deployer's trust.hcl says. The zero value
// trusts nobody.
type Trust struct {
	Schema  string       `json:"schema"`
	Entries []TrustEntry `json:"entries"`
	// Closed are the roles for which somebody was ever listed: no first use
	// opens them again, not even when all their entries were removed.
	Closed []Role `json:"closed"`
	// Root is the Sigstore trusted root (trusted_root.json) that certificates,
	// log entries and timestamps are held against: without one no identity is
	// believed.
	Root json.RawMessage `json:"root,omitempty"`
	// StoreID is whose trust it is, where it was asked for; it is not stored.
	StoreID string `json:"store_id,omitempty"`
}

// TrustEntry lets one key or identity play one role for the images of a
// pattern.
type TrustEntry struct {
	Role Role   `json:"role"`
	Key  string `json:"key,omitempty"` // public key, PEM; this or Identity
	// KeyID is the key's id, "sha256:" and the hex digest of its DER
	// SubjectPublicKeyInfo, or that of the identity, "identity:ISSUER#SUBJECT".
	KeyID    string         `json:"key_id"`
	Identity *sign.Identity `json:"identity,omitempty"`
	Image    string         `json:"image"` // pattern: "acme/*", "acme/**", "**"; * stops at a slash
	// Channels are the patterns of the channels that it may promote to or
	// approve for; without any it may for every channel.
	Channels []string `json:"channels,omitempty"`
	// NotBefore and NotAfter bound when a signature may have been made, by a
	// verified timestamp or the ledger record that admitted it.
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	AddedAt   time.Time  `json:"added_at"`
	AddedBy   string     `json:"added_by"`
}

// Principal is who the entry speaks of.
func (e TrustEntry) Principal() sign.Principal {
	p := sign.Principal{Identity: e.Identity}
	if e.Key != "" {
		p.Key = []byte(e.Key)
	}
	if e.NotBefore != nil {
		p.NotBefore = *e.NotBefore
	}
	if e.NotAfter != nil {
		p.NotAfter = *e.NotAfter
	}
	return p
}

// covers says whether the entry is about a role, an image and a channel; "" is
// any channel.
func (e TrustEntry) covers(role Role, image, channel string) bool {
	if e.Role != role || image == "" || !doublestar.MatchUnvalidated(e.Image, image) {
		return false
	}
	return channel == "" || len(e.Channels) == 0 ||
		slices.ContainsFunc(e.Channels, func(pattern string) bool { return doublestar.MatchUnvalidated(pattern, channel) })
}

// current says whether t lies within the entry's dates.
func (e TrustEntry) current(t time.Time) bool {
	return (e.NotBefore == nil || !t.Before(*e.NotBefore)) && (e.NotAfter == nil || !t.After(*e.NotAfter))
}

// Principals are the keys and identities, with their dates, that may play a
// role for an image and, unless it is "", a channel. One may be there several
// times, with different dates.
func (t Trust) Principals(role Role, image, channel string) []sign.Principal {
	var list []sign.Principal
	for _, e := range t.Entries {
		if e.covers(role, image, channel) {
			list = append(list, e.Principal())
		}
	}
	return list
}

// Verifier verifies what those may sign who play a role for an image and,
// unless it is "", a channel. KindDenied if the trust lists nobody. Without a
// trusted root no identity is believed: those are left out, and it is an error
// if nobody is left. admitted, which may be nil, says
// when a verified record of the ledger admitted a piece of evidence.
func (t Trust) Verifier(role Role, image, channel string, now func() time.Time, admitted func(digest.Digest) (time.Time, bool)) (*sign.Verifier, error) {
	principals := t.Principals(role, image, channel)
	if len(principals) == 0 {
		if channel != "" {
			return nil, errorf(KindDenied, "the trust lists nobody who may %s %s for channel %s", role, image, channel)
		}
		return nil, errorf(KindDenied, "the trust lists nobody who may %s %s", role, image)
	}
	if believed := slices.DeleteFunc(slices.Clone(principals), func(p sign.Principal) bool { return p.Identity != nil }); len(t.Root) == 0 && len(believed) > 0 {
		principals = believed
	}
	v, err := sign.NewVerifierFor(sign.VerifierConfig{Principals: principals, TrustedRoot: t.Root, Now: now, Admitted: admitted})
	if err != nil {
		return nil, errorf(KindInvalid, "trust to %s %s: %w", role, image, err)
	}
	return v, nil
}

// Keys are the PEM keys that may play a role for an image, whatever their
// dates. To judge a signature, take Principals or Verifier.
func (t Trust) Keys(role Role, image string) [][]byte {
	var keys [][]byte
	seen := map[string]bool{}
	for _, e := range t.Entries {
		if e.Key != "" && !seen[e.KeyID] && e.covers(role, image, "") {
			seen[e.KeyID] = true
			keys = append(keys, []byte(e.Key))
		}
	}
	return keys
}

// Lists says whether a key may play a role for an image, whatever its dates
// and channels.
func (t Trust) Lists(role Role, keyID, image string) bool {
	return slices.ContainsFunc(t.Entries, func(e TrustEntry) bool {
		return e.KeyID == keyID && e.covers(role, image, "")
	})
}

// open says whether the next key of a role is recorded by its use.
func (t Trust) open(role Role) bool {
	return !slices.Contains(t.Closed, role) &&
		!slices.ContainsFunc(t.Entries, func(e TrustEntry) bool { return e.Role == role })
}

package policy

import "time"

// Ancestry is what the image was baked on, as signed provenance names it.
type Ancestry struct {
	Ancestors []Ancestor `json:"ancestors"` // nearest first
	// Known: the trusted provenance of the version and of each ancestor in the
	// store says what it was baked on, down to a base without parent or to one
	// from outside the store.
	Known   bool   `json:"known"`
	Problem string `json:"problem"` // why it is not known, "" if it is
}

// Ancestor is an image that this one was baked on.
type Ancestor struct {
	Digest   string `json:"digest"`
	Foreign  bool   `json:"foreign"` // from outside the store, whose ledgers say nothing about it
	Image    string `json:"image"`
	Outdated *bool  `json:"outdated"` // a newer version of it is in the channel that this one goes to, or is its newest; null if unknown
	Reason   string `json:"reason"`   // of the revocation, "" without one
	Revoked  bool   `json:"revoked"`  // in force now and inherited
}

// Soak says how long the version was in the channel before.
type Soak struct {
	Channel string     `json:"channel"` // the channel before, "" if there is none
	Since   *time.Time `json:"since"`   // when this digest entered it last; null if it never did
}

// Approval is somebody's word for moving this digest to a channel.
type Approval struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`      // identity, or the key's id
	Channel string    `json:"channel"` // that it is for, "" for every one
	KeyID   string    `json:"key_id"`  // that signed it, "" if the server took an authenticated identity's word
	Trusted bool      `json:"trusted"` // the store's trust lists the approver for this image and channel
}

func (a Ancestry) normal() Ancestry {
	a.Ancestors = nonNil(a.Ancestors)
	return a
}

func (a Approval) normal() Approval {
	a.At = *second(&a.At)
	return a
}

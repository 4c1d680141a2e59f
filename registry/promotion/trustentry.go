package promotion

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kiln/registry/store"

	"github.com/bmatcuk/doublestar/v4"
)

// Bounds on an entry, in bytes and in number.
const (
	maxPattern  = 200
	maxChannels = 50
	maxIdentity = 1000
)

// maxTrustRoot bounds a trusted root, in bytes: trust is one pointer.
const maxTrustRoot = store.MaxPointerSize / 4

// newTrustEntry checks a request for AddTrust.
func newTrustEntry(req TrustRequest, now time.Time) (TrustEntry, error) {
	e := TrustEntry{
		Role: req.Role, Key: req.Key, Identity: req.Identity, Image: req.Image, Channels: slices.Clone(req.Channels),
		NotBefore: inUTC(req.NotBefore), NotAfter: inUTC(req.NotAfter),
		AddedAt: now.UTC().Truncate(time.Second), AddedBy: req.By,
	}
	if e.Image == "" {
		e.Image = EveryImage
	}
	id, err := e.Principal().ID()
	if err != nil {
		return TrustEntry{}, errorf(KindInvalid, "trust: %w", err)
	}
	if req.KeyID != "" && req.KeyID != id {
		return TrustEntry{}, errorf(KindInvalid, "the key has the id %s, not %s", id, clip(req.KeyID))
	}
	e.KeyID = id
	if err := e.Check(); err != nil {
		return TrustEntry{}, errorf(KindInvalid, "%w", err)
	}
	return e, nil
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// Check refuses an entry that no kiln would write: an unknown role, not exactly
// one of key and identity, another id than theirs, patterns that match nothing
// or that only promotions and approvals may have, and dates that leave no time.
func (e TrustEntry) Check() error {
	switch e.Role {
	case RoleBake, RolePromote, RoleApprove:
	default:
		return fmt.Errorf("unknown role %q: want bake, promote or approve", clip(string(e.Role)))
	}
	if (e.Key == "") == (e.Identity == nil) {
		return errors.New("an entry of the trust names one key or one identity")
	}
	if i := e.Identity; i != nil && len(i.Issuer)+len(i.Subject)+len(i.SubjectRegexp) > maxIdentity {
		return fmt.Errorf("an identity of more than %d bytes", maxIdentity)
	}
	if err := errors.Join(checkPattern("image", e.Image), e.checkChannels(), e.checkDates()); err != nil {
		return err
	}
	id, err := e.Principal().ID()
	if err == nil && id != e.KeyID {
		err = fmt.Errorf("the id %q is not that of the key or identity, %s", clip(e.KeyID), id)
	}
	return err
}

func (e TrustEntry) checkChannels() error {
	switch {
	case len(e.Channels) == 0:
		return nil
	case e.Role == RoleBake:
		return errors.New("channels are for the roles promote and approve: what is baked is in no channel yet")
	case len(e.Channels) > maxChannels:
		return fmt.Errorf("%d channel patterns, at most %d", len(e.Channels), maxChannels)
	}
	for _, c := range e.Channels {
		if err := checkPattern("channel", c); err != nil {
			return err
		}
	}
	return nil
}

func (e TrustEntry) checkDates() error {
	for _, t := range []*time.Time{e.NotBefore, e.NotAfter} {
		if t != nil && (t.IsZero() || t.Year() < 1 || t.Year() > 9999) {
			return errors.New("a date that is none")
		}
	}
	if e.NotBefore != nil && e.NotAfter != nil && !e.NotBefore.Before(*e.NotAfter) {
		return fmt.Errorf("not before %s and not after %s leave no time", e.NotBefore.Format(time.RFC3339), e.NotAfter.Format(time.RFC3339))
	}
	return nil
}

func checkPattern(what, pattern string) error {
	if pattern == "" || len(pattern) > maxPattern || !doublestar.ValidatePattern(pattern) || strings.ContainsFunc(pattern, isControl) {
		return fmt.Errorf("invalid %s pattern %q", what, clip(pattern))
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// decodeTrust reads the value of the trust pointer. What it does not understand
// is an error: a restriction that is passed over would be none.
func decodeTrust(value []byte) (Trust, error) {
	var t Trust
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	err := d.Decode(&t)
	if _, more := d.Token(); err == nil && !errors.Is(more, io.EOF) {
		err = errors.New("something follows it")
	}
	if err != nil {
		return Trust{}, fmt.Errorf("parse trust: %w", err)
	}
	if t.Schema != TrustSchema {
		return Trust{}, fmt.Errorf("parse trust: unknown schema %q, this kiln knows %s", clip(t.Schema), TrustSchema)
	}
	for _, e := range t.Entries {
		if err := e.Check(); err != nil {
			return Trust{}, fmt.Errorf("parse trust: the entry for %s is damaged: %w", clip(e.KeyID), err)
		}
	}
	return t, nil
}

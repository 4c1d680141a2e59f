package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"kiln/registry/store"
	"kiln/sign"

	"github.com/bmatcuk/doublestar/v4"
)

// Role is what a key may do.
type Role string

// The roles.
const (
	RoleBake    Role = "bake"    // sign images and their evidence
	RolePromote Role = "promote" // sign records and statements
	RoleApprove Role = "approve" // sign approvals
)

// EveryImage is the pattern of a key that is trusted for all images.
const EveryImage = "**"

// TrustSchema is the schema of a Trust.
const TrustSchema = "kiln.trust/v1"

// maxTrust bounds the entries of a trust.
const maxTrust = 1000

// Trust lists which keys may do what. It is the value of the store's trust
// pointer.
type Trust struct {
	Schema  string       `json:"schema"`
	Entries []TrustEntry `json:"entries"`
	// Closed are the roles for which a key was ever listed: no first use
	// opens them again, not even when all their keys were removed.
	Closed []Role `json:"closed"`
}

// TrustEntry lets one key play one role for the images of a pattern.
type TrustEntry struct {
	Role    Role      `json:"role"`
	Key     string    `json:"key"`    // public key, PEM
	KeyID   string    `json:"key_id"` // "sha256:" and the hex digest of its DER SubjectPublicKeyInfo
	Image   string    `json:"image"`  // pattern: "acme/*", "acme/**", "**"; * stops at a slash
	AddedAt time.Time `json:"added_at"`
	AddedBy string    `json:"added_by"`
}

// TrustRequest names entries: for AddTrust Role and Key are required and Image
// is EveryImage if empty; for RemoveTrust Key or KeyID is, and an empty Role or
// Image stands for all.
type TrustRequest struct {
	Role  Role   `json:"role,omitempty"`
	Key   string `json:"key,omitempty"`
	KeyID string `json:"key_id,omitempty"`
	Image string `json:"image,omitempty"`
	// FirstUse adds only if no key was ever listed for the role, and is
	// KindDenied otherwise.
	FirstUse bool   `json:"first_use,omitempty"`
	By       string `json:"-"`
}

// Keys are the PEM keys that may play a role for an image.
func (t Trust) Keys(role Role, image string) [][]byte {
	var keys [][]byte
	seen := map[string]bool{}
	for _, e := range t.Entries {
		if e.Role == role && !seen[e.KeyID] && doublestar.MatchUnvalidated(e.Image, image) {
			seen[e.KeyID] = true
			keys = append(keys, []byte(e.Key))
		}
	}
	return keys
}

// Lists says whether a key may play a role for an image.
func (t Trust) Lists(role Role, keyID, image string) bool {
	return slices.ContainsFunc(t.Entries, func(e TrustEntry) bool {
		return e.Role == role && e.KeyID == keyID && doublestar.MatchUnvalidated(e.Image, image)
	})
}

// Admits says whether a key may play a role for an image: KindDenied if it is
// not listed. open tells then that no key was ever listed for the role, so that
// this one may be, by its first use.
func (t Trust) Admits(role Role, publicPEM []byte, image string) (open bool, err error) {
	e, err := newTrustEntry(TrustRequest{Role: role, Key: string(publicPEM)}, time.Time{})
	if err != nil {
		return false, err
	}
	if t.Lists(role, e.KeyID, image) {
		return false, nil
	}
	return t.open(role), untrusted(role, e.KeyID, image)
}

// untrusted refuses a key that is not listed.
func untrusted(role Role, keyID, image string) error {
	return errorf(KindDenied, "key %s is not trusted to %s %s", keyID, role, image).
		hinted("kiln trust add KEY.pub --role %s --image %s", role, image)
}

// open says whether the next key of a role is recorded by its use.
func (t Trust) open(role Role) bool {
	return !slices.Contains(t.Closed, role) &&
		!slices.ContainsFunc(t.Entries, func(e TrustEntry) bool { return e.Role == role })
}

// add lists e unless it is listed, and says whether that changed anything.
func (t *Trust) add(e TrustEntry) bool {
	if slices.ContainsFunc(t.Entries, func(o TrustEntry) bool {
		return o.Role == e.Role && o.KeyID == e.KeyID && o.Image == e.Image
	}) {
		return false
	}
	t.Entries = append(t.Entries, e)
	if !slices.Contains(t.Closed, e.Role) {
		t.Closed = append(t.Closed, e.Role)
	}
	return true
}

// newTrustEntry checks a request for AddTrust.
func newTrustEntry(req TrustRequest, now time.Time) (TrustEntry, error) {
	switch req.Role {
	case RoleBake, RolePromote, RoleApprove:
	default:
		return TrustEntry{}, errorf(KindInvalid, "unknown role %q: want bake, promote or approve", clip(string(req.Role)))
	}
	id, err := sign.KeyID([]byte(req.Key))
	if err != nil {
		return TrustEntry{}, errorf(KindInvalid, "trust: %w", err)
	}
	if req.KeyID != "" && req.KeyID != id {
		return TrustEntry{}, errorf(KindInvalid, "the key has the id %s, not %s", id, clip(req.KeyID))
	}
	if req.Image == "" {
		req.Image = EveryImage
	}
	if len(req.Image) > 200 || !doublestar.ValidatePattern(req.Image) {
		return TrustEntry{}, errorf(KindInvalid, "invalid image pattern %q", clip(req.Image))
	}
	return TrustEntry{
		Role: req.Role, Key: req.Key, KeyID: id, Image: req.Image,
		AddedAt: now.UTC().Truncate(time.Second), AddedBy: req.By,
	}, nil
}

// decodeTrust reads the value of the trust pointer.
func decodeTrust(value []byte) (Trust, error) {
	var t Trust
	if err := json.Unmarshal(value, &t); err != nil {
		return Trust{}, fmt.Errorf("parse trust: %w", err)
	}
	if t.Schema != TrustSchema {
		return Trust{}, fmt.Errorf("parse trust: unknown schema %q, this kiln knows %s", clip(t.Schema), TrustSchema)
	}
	for _, e := range t.Entries {
		if id, err := sign.KeyID([]byte(e.Key)); err != nil || id != e.KeyID || !doublestar.ValidatePattern(e.Image) {
			return Trust{}, fmt.Errorf("parse trust: the entry for %s is damaged", clip(e.KeyID))
		}
	}
	return t, nil
}

// Trust lists the trust; that of a new store is empty.
func (s *Service) Trust(ctx context.Context) (Trust, error) {
	t, _, err := s.loadTrust(ctx)
	return t, err
}

func (s *Service) loadTrust(ctx context.Context) (Trust, store.Pointer, error) {
	ptr, err := s.pointers.Load(ctx, store.TrustPointer)
	if errors.Is(err, store.ErrNotFound) {
		return Trust{Schema: TrustSchema, Entries: []TrustEntry{}, Closed: []Role{}}, store.Absent(store.TrustPointer), nil
	}
	if err != nil {
		return Trust{}, store.Pointer{}, fmt.Errorf("trust: %w", err)
	}
	t, err := decodeTrust(ptr.Value)
	return t, ptr, err
}

// changeTrust applies change until it is swapped in. change says whether there
// is anything to write.
func (s *Service) changeTrust(ctx context.Context, change func(*Trust) (bool, error)) (Trust, error) {
	for {
		t, ptr, err := s.loadTrust(ctx)
		if err != nil {
			return Trust{}, err
		}
		if changed, err := change(&t); err != nil || !changed {
			return t, err
		}
		if len(t.Entries) > maxTrust {
			return Trust{}, errorf(KindInvalid, "the trust holds %d entries, no more fit", maxTrust)
		}
		value, err := json.Marshal(t)
		if err != nil {
			return Trust{}, fmt.Errorf("encode trust: %w", err)
		}
		_, err = s.pointers.Swap(ctx, ptr, value)
		if err == nil {
			return t, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return Trust{}, fmt.Errorf("trust: %w", err)
		}
		if err := pause(ctx); err != nil {
			return Trust{}, err
		}
	}
}

// AddTrust lists a key.
func (s *Service) AddTrust(ctx context.Context, req TrustRequest) (TrustEntry, error) {
	e, err := newTrustEntry(req, s.now())
	if err != nil {
		return TrustEntry{}, err
	}
	if e.AddedBy == "" && req.FirstUse {
		e.AddedBy = e.KeyID
	}
	_, err = s.changeTrust(ctx, func(t *Trust) (bool, error) {
		if req.FirstUse && !t.open(e.Role) {
			return false, untrusted(e.Role, e.KeyID, e.Image)
		}
		return t.add(e), nil
	})
	return e, err
}

// RemoveTrust removes what the request names and returns what is left.
func (s *Service) RemoveTrust(ctx context.Context, req TrustRequest) (Trust, error) {
	if req.Key != "" {
		id, err := sign.KeyID([]byte(req.Key))
		if err != nil {
			return Trust{}, errorf(KindInvalid, "trust: %w", err)
		}
		req.KeyID = id
	}
	if req.KeyID == "" {
		return Trust{}, errorf(KindInvalid, "which key? name a key or its id")
	}
	return s.changeTrust(ctx, func(t *Trust) (bool, error) {
		before := len(t.Entries)
		t.Entries = slices.DeleteFunc(t.Entries, func(e TrustEntry) bool {
			return e.KeyID == req.KeyID && (req.Role == "" || e.Role == req.Role) && (req.Image == "" || e.Image == req.Image)
		})
		if len(t.Entries) == before {
			return false, errorf(KindNotFound, "the trust has no such entry for key %s", clip(req.KeyID))
		}
		return true, nil
	})
}

// Admit lets a key play a role for an image: KindDenied if the trust does not
// list it. If no key was ever listed for the role and firstUse is set, this one
// is, for every image, and recorded is true: the caller must say so.
func (s *Service) Admit(ctx context.Context, role Role, publicPEM []byte, image, by string, firstUse bool) (recorded bool, err error) {
	e, err := newTrustEntry(TrustRequest{Role: role, Key: string(publicPEM), By: by}, s.now())
	if err != nil {
		return false, err
	}
	if e.AddedBy == "" {
		e.AddedBy = e.KeyID
	}
	_, err = s.changeTrust(ctx, func(t *Trust) (bool, error) {
		recorded = false
		switch {
		case t.Lists(role, e.KeyID, image):
			return false, nil
		case firstUse && t.open(role):
			recorded = t.add(e)
			return recorded, nil
		}
		return false, untrusted(role, e.KeyID, image)
	})
	return recorded && err == nil, err
}

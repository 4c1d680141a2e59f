package promotion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"kiln/registry/store"
	"kiln/sign"
)

// TrustRequest names entries. For AddTrust Role and one of Key and Identity are
// required, and Image is EveryImage if empty. For RemoveTrust one of Key, KeyID
// and Identity is, and an empty Role or Image stands for all.
type TrustRequest struct {
	Role     Role           `json:"role,omitempty"`
	Key      string         `json:"key,omitempty"`
	KeyID    string         `json:"key_id,omitempty"`
	Identity *sign.Identity `json:"identity,omitempty"`
	Image    string         `json:"image,omitempty"`
	// Channels, NotBefore and NotAfter are for AddTrust. What is left out stays
	// as it is in an entry that is there, so that the same again never gives
	// more time or more channels.
	Channels  []string   `json:"channels,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	NotAfter  *time.Time `json:"not_after,omitempty"`
	// FirstUse adds only if nobody was ever listed for the role, and is
	// KindDenied otherwise.
	FirstUse bool   `json:"first_use,omitempty"`
	By       string `json:"-"`
}

// same says whether o is the entry of the same role, principal and pattern.
func (e TrustEntry) same(o TrustEntry) bool {
	return o.Role == e.Role && o.KeyID == e.KeyID && o.Image == e.Image
}

// add lists e, or puts its channels and dates into the entry that is there, and
// returns what is listed then and whether that changed anything.
func (t *Trust) add(e TrustEntry) (TrustEntry, bool, error) {
	i := slices.IndexFunc(t.Entries, e.same)
	if i < 0 {
		t.Entries = append(t.Entries, e)
		if !slices.Contains(t.Closed, e.Role) {
			t.Closed = append(t.Closed, e.Role)
		}
		return e, true, nil
	}
	next := t.Entries[i]
	if len(e.Channels) > 0 {
		next.Channels = e.Channels
	}
	if e.NotBefore != nil {
		next.NotBefore = e.NotBefore
	}
	if e.NotAfter != nil {
		next.NotAfter = e.NotAfter
	}
	if err := next.Check(); err != nil {
		return TrustEntry{}, false, errorf(KindInvalid, "%w", err)
	}
	changed := !slices.Equal(next.Channels, t.Entries[i].Channels) ||
		!sameTime(next.NotBefore, t.Entries[i].NotBefore) || !sameTime(next.NotAfter, t.Entries[i].NotAfter)
	t.Entries[i] = next
	return next, changed, nil
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// Trust lists the trust; that of a new store is empty.
func (s *Service) Trust(ctx context.Context) (Trust, error) {
	t, _, err := s.loadTrust(ctx)
	if err == nil {
		t.StoreID, err = s.StoreID(ctx)
	}
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
		value, err := json.Marshal(t)
		if err != nil {
			return Trust{}, fmt.Errorf("encode trust: %w", err)
		}
		if len(t.Entries) > maxTrust || len(value) > store.MaxPointerSize {
			return Trust{}, errorf(KindInvalid, "the trust holds %d entries in %d bytes, no more fit", len(t.Entries), len(value))
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

// AddTrust implements Operations.
func (s *Service) AddTrust(ctx context.Context, req TrustRequest) (TrustEntry, error) {
	e, err := newTrustEntry(req, s.now())
	if err != nil {
		return TrustEntry{}, err
	}
	if e.AddedBy == "" && req.FirstUse {
		e.AddedBy = e.KeyID
	}
	var listed TrustEntry
	_, err = s.changeTrust(ctx, func(t *Trust) (changed bool, err error) {
		if req.FirstUse && !t.open(e.Role) {
			return false, untrusted(e.Role, e.KeyID, e.Image)
		}
		listed, changed, err = t.add(e)
		return changed, err
	})
	return listed, err
}

// RemoveTrust implements Operations.
func (s *Service) RemoveTrust(ctx context.Context, req TrustRequest) (Trust, error) {
	if req.Key != "" || req.Identity != nil {
		id, err := TrustEntry{Key: req.Key, Identity: req.Identity}.Principal().ID()
		if err != nil {
			return Trust{}, errorf(KindInvalid, "trust: %w", err)
		}
		req.KeyID = id
	}
	if req.KeyID == "" {
		return Trust{}, errorf(KindInvalid, "which key? name a key, an identity or its id")
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

// TrustRootRequest sets the Sigstore trusted root of a store's trust.
type TrustRootRequest struct {
	Root json.RawMessage `json:"root"` // trusted_root.json; null removes it
	By   string          `json:"-"`
}

// SetTrustRoot implements Operations.
func (s *Service) SetTrustRoot(ctx context.Context, req TrustRootRequest) (Trust, error) {
	root, err := checkRoot(req.Root)
	if err != nil {
		return Trust{}, errorf(KindInvalid, "trusted root: %w", err)
	}
	return s.changeTrust(ctx, func(t *Trust) (bool, error) {
		changed := !bytes.Equal(t.Root, root)
		t.Root = root
		return changed, nil
	})
}

// checkRoot checks and compacts a trusted root; nil for none.
func checkRoot(root json.RawMessage) (json.RawMessage, error) {
	if len(root) > maxTrustRoot {
		return nil, fmt.Errorf("%d bytes, at most %d are kept", len(root), maxTrustRoot)
	}
	if len(root) == 0 || string(bytes.TrimSpace(root)) == "null" {
		return nil, nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, root); err != nil {
		return nil, err
	}
	return compact.Bytes(), sign.CheckTrustedRoot(compact.Bytes())
}

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// leaseValue is the value of a lease pointer: what one holder leases of one
// digest, which may be in several images.
type leaseValue struct {
	Schema string                `json:"schema"`
	Digest digest.Digest         `json:"digest"`
	Holder string                `json:"holder"`
	Images map[string]imageLease `json:"images"`
}

// imageLease is the lease of one image.
type imageLease struct {
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Expires time.Time `json:"expires"`
}

// maxLeasedImages bounds the images of a leaseValue.
const maxLeasedImages = 1000

var holderRE = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@:+=-]{0,127}$`) })

// protects tells whether the lease still counts. Clocks differ: it does a
// little longer than it says.
func (l imageLease) protects(now time.Time) bool { return now.Before(l.Expires.Add(LeaseSkew)) }

// valid tells whether the lease has not expired.
func (l imageLease) valid(now time.Time) bool { return now.Before(l.Expires) }

// decodeLease reads the value of a lease pointer, and refuses one that is
// damaged or of another name.
func decodeLease(ptr store.Pointer) (leaseValue, error) {
	var v leaseValue
	if err := json.Unmarshal(ptr.Value, &v); err != nil {
		return leaseValue{}, fmt.Errorf("parse lease %s: %w", ptr.Name, err)
	}
	if v.Schema != LeaseSchema {
		return leaseValue{}, fmt.Errorf("parse lease %s: unknown schema %q, this kiln knows %s", ptr.Name, clip(v.Schema), LeaseSchema)
	}
	if registry.CheckDigest(v.Digest) != nil || !holderRE().MatchString(v.Holder) || store.LeasePointer(v.Digest, v.Holder) != ptr.Name {
		return leaseValue{}, fmt.Errorf("parse lease %s: it is that of another", ptr.Name)
	}
	for image := range v.Images {
		if err := registry.CheckName(image); err != nil {
			return leaseValue{}, fmt.Errorf("parse lease %s: %w", ptr.Name, err)
		}
	}
	return v, nil
}

// loadLease reads a lease; of an absent one it returns the pointer to create.
func (s *Service) loadLease(ctx context.Context, d digest.Digest, holder string) (leaseValue, store.Pointer, error) {
	name := store.LeasePointer(d, holder)
	ptr, err := s.pointers.Load(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return leaseValue{Schema: LeaseSchema, Digest: d, Holder: holder}, store.Absent(name), nil
	}
	if err != nil {
		return leaseValue{}, store.Pointer{}, fmt.Errorf("lease %s: %w", name, err)
	}
	v, err := decodeLease(ptr)
	return v, ptr, err
}

// saveLease swaps v in, or removes the pointer if v leases nothing.
func (s *Service) saveLease(ctx context.Context, ptr store.Pointer, v leaseValue) error {
	if len(v.Images) == 0 {
		if !ptr.Exists() {
			return nil
		}
		return s.pointers.Delete(ctx, ptr)
	}
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode lease: %w", err)
	}
	_, err = s.pointers.Swap(ctx, ptr, value)
	return err
}

// current is v without what no longer protects; v is left as it is.
func (v leaseValue) current(now time.Time) leaseValue {
	v.Images = maps.Clone(v.Images)
	if v.Images == nil {
		v.Images = map[string]imageLease{}
	}
	maps.DeleteFunc(v.Images, func(_ string, l imageLease) bool { return !l.protects(now) })
	return v
}

// lease is the lease of one image.
func (v leaseValue) lease(image string) Lease {
	l := v.Images[image]
	return Lease{Image: image, Digest: v.Digest, Holder: v.Holder, By: l.By, At: l.At, Expires: l.Expires}
}

// leases yields the lease pointers behind after, on one digest if d is given.
func (s *Service) leases(ctx context.Context, d digest.Digest, after string) iter.Seq2[leaseValue, error] {
	prefix := store.LeasesPrefix
	if d != "" {
		prefix = store.LeasePointer(d, "")
	}
	if after != "" {
		after = store.LeasesPrefix + after
	}
	return func(yield func(leaseValue, error) bool) {
		for ptr, err := range s.pointers.List(ctx, prefix, after) {
			var v leaseValue
			if err == nil {
				v, err = decodeLease(ptr)
			}
			if err != nil {
				err = fmt.Errorf("leases: %w", err)
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Cursor continues a list of leases behind l: LeasesRequest.Cursor.
func (l Lease) Cursor() string {
	return strings.TrimPrefix(store.LeasePointer(l.Digest, l.Holder), store.LeasesPrefix)
}

// checkCursor refuses what no list of leases said.
func checkLeaseCursor(cursor string) error {
	d, holder, ok := strings.Cut(cursor, "/")
	if cursor == "" || ok && registry.CheckDigest(digest.Digest(d)) == nil && holderRE().MatchString(holder) {
		return nil
	}
	return errorf(KindInvalid, "invalid cursor %q", clip(cursor))
}

// images are the images that v leases, in byte order.
func (v leaseValue) images() []string { return slices.Sorted(maps.Keys(v.Images)) }

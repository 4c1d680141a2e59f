package promotion

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// rescuer is what a registry with a collector offers besides: Rescue returns
// nil if the manifest and all that it names is there and, since whatever roots
// it was written before, stays; registry.CodeManifestUnknown if it is gone.
type rescuer interface {
	Rescue(ctx context.Context, repo string, d digest.Digest) error
}

// Lease implements Operations.
func (s *Service) Lease(ctx context.Context, req LeaseRequest) (Lease, error) {
	if err := checkLease(req.Image, req.Digest, req.Holder); err != nil {
		return Lease{}, err
	}
	if req.Lifetime == 0 {
		req.Lifetime = Duration(DefaultLease)
	}
	if req.Lifetime < Duration(time.Second) || req.Lifetime > Duration(MaxLease) {
		return Lease{}, errorf(KindInvalid, "a lease of %s; it may last from 1s to %s", req.Lifetime, Duration(MaxLease))
	}
	if _, _, err := s.version(ctx, req.Image, req.Digest); err != nil {
		return Lease{}, err
	}
	l, fresh, err := s.take(ctx, req)
	if err != nil {
		return Lease{}, err
	}
	// Whoever removes the digest looks for leases after saying so, and a lease
	// looks for removals after it was written: one of the two gives way.
	if err := s.confirm(ctx, req.Image, req.Digest); err != nil {
		if fresh {
			err = errors.Join(err, s.drop(context.WithoutCancel(ctx), l))
		}
		return Lease{}, err
	}
	l.Schema = LeaseSchema
	return l, nil
}

func checkLease(image string, d digest.Digest, holder string) error {
	if err := checkImage(image); err != nil {
		return err
	}
	if err := checkDigest(d); err != nil {
		return err
	}
	if !holderRE().MatchString(holder) {
		return errorf(KindInvalid, "invalid holder %q: want letters, digits and ._@:+=- without spaces or slashes, at most 128 bytes", clip(holder))
	}
	return nil
}

// take writes the lease; fresh tells a new one from an extension.
func (s *Service) take(ctx context.Context, req LeaseRequest) (l Lease, fresh bool, err error) {
	for {
		v, ptr, err := s.loadLease(ctx, req.Digest, req.Holder)
		if err != nil {
			return Lease{}, false, err
		}
		now := s.now().UTC()
		v = v.current(now)
		old, extends := v.Images[req.Image]
		next := imageLease{By: req.By, At: now, Expires: now.Add(time.Duration(req.Lifetime)).Truncate(time.Second)}
		if extends {
			if err := mayTouch(v.lease(req.Image), req.By, req.Admin); err != nil {
				return Lease{}, false, err
			}
			next.By = old.By
			if old.Expires.After(next.Expires) {
				next.Expires = old.Expires
			}
		} else if err := s.checkQuota(ctx, v, now); err != nil {
			return Lease{}, false, err
		}
		if err := s.reserve(ctx, next.By, tallyKey(req.Image, req.Digest, req.Holder), next.Expires); err != nil {
			return Lease{}, false, err
		}
		v.Images[req.Image] = next
		err = s.saveLease(ctx, ptr, v)
		if err == nil {
			return v.lease(req.Image), !extends, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return Lease{}, false, fmt.Errorf("lease %s@%s: %w", req.Image, req.Digest, err)
		}
		if err := pause(ctx); err != nil {
			return Lease{}, false, err
		}
	}
}

// checkQuota refuses one more lease on a digest that has too many.
func (s *Service) checkQuota(ctx context.Context, v leaseValue, now time.Time) error {
	if len(v.Images) >= maxLeasedImages {
		return errorf(KindDenied, "%s leases %s in %d images, which is the most", v.Holder, v.Digest, len(v.Images))
	}
	n := 0
	for other, err := range s.leases(ctx, v.Digest, "") {
		if err != nil {
			return err
		}
		if other.Holder != v.Holder && len(other.current(now).Images) > 0 {
			n++
		}
	}
	if n >= MaxLeasesOfDigest {
		return errorf(KindDenied, "%s has %d holders, which is the most that one digest may have", v.Digest, n).
			hinted("release some, or let one holder speak for several")
	}
	return nil
}

// mayTouch refuses to change a lease that somebody else took.
func mayTouch(l Lease, by string, admin bool) error {
	if admin || by == "" || by == l.By || l.By == "" {
		return nil
	}
	return errorf(KindDenied, "the lease of %s on %s@%s was taken by %s", l.Holder, l.Image, l.Digest, clip(l.By)).
		hinted("take another holder's name")
}

// confirm finds out, after a lease was written, that the digest is there and
// that nobody is about to remove it.
func (s *Service) confirm(ctx context.Context, image string, d digest.Digest) error {
	st, err := s.state(ctx, image)
	if err != nil {
		return err
	}
	if r, active := st.retiring(d, s.now()); active && r.Manifest {
		return busy(image, d, r)
	}
	if r, ok := s.registry.(rescuer); ok {
		err := r.Rescue(ctx, image, d)
		switch registry.ErrorCode(err) {
		case registry.CodeManifestUnknown, registry.CodeManifestBlobUnknown:
			return errorf(KindNotFound, "%s@%s was just collected", image, d)
		case registry.CodeTooManyRequests:
			return errorf(KindConflict, "%s@%s is just being collected", image, d).hinted("try again")
		}
		if err != nil {
			return fmt.Errorf("lease %s@%s: %w", image, d, err)
		}
	}
	_, _, err = s.version(ctx, image, d)
	return err
}

// drop takes back a lease unless it was extended meanwhile.
func (s *Service) drop(ctx context.Context, l Lease) error {
	for {
		v, ptr, err := s.loadLease(ctx, l.Digest, l.Holder)
		if err != nil {
			return err
		}
		if mine, ok := v.Images[l.Image]; !ok || !mine.At.Equal(l.At) {
			return nil
		}
		delete(v.Images, l.Image)
		if err = s.saveLease(ctx, ptr, v); err == nil {
			s.unreserve(ctx, l.By, tallyKey(l.Image, l.Digest, l.Holder))
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("take back the lease on %s@%s: %w", l.Image, l.Digest, err)
		}
	}
}

// Release implements Operations.
func (s *Service) Release(ctx context.Context, req ReleaseRequest) error {
	if err := checkLease(req.Image, req.Digest, req.Holder); err != nil {
		return err
	}
	for {
		v, ptr, err := s.loadLease(ctx, req.Digest, req.Holder)
		if err != nil {
			return err
		}
		now := s.now()
		v = v.current(now)
		old, ok := v.Images[req.Image]
		if !ok {
			return errorf(KindNotFound, "%s has no lease on %s@%s", req.Holder, req.Image, req.Digest).
				hinted("kiln lease %s lists them", req.Image)
		}
		if err := mayTouch(v.lease(req.Image), req.By, req.Admin); err != nil {
			return err
		}
		delete(v.Images, req.Image)
		err = s.saveLease(ctx, ptr, v)
		if err == nil {
			s.unreserve(ctx, old.By, tallyKey(req.Image, req.Digest, req.Holder))
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("release %s@%s: %w", req.Image, req.Digest, err)
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// Leases implements Operations. The cursor is the digest and holder of the last
// lease that the page before looked at.
func (s *Service) Leases(ctx context.Context, req LeasesRequest) (LeaseList, error) {
	if req.Image != "" {
		if err := s.checkKnown(ctx, req.Image); err != nil {
			return LeaseList{}, err
		}
	}
	if req.Digest != "" {
		if err := checkDigest(req.Digest); err != nil {
			return LeaseList{}, err
		}
	}
	if err := checkLeaseCursor(req.Cursor); err != nil {
		return LeaseList{}, err
	}
	limit, seen, last, now := pageSize(req.Limit), 0, "", s.now()
	page := LeaseList{Schema: LeasesSchema, Leases: []Lease{}}
	for v, err := range s.leases(ctx, req.Digest, req.Cursor) {
		if err != nil {
			return LeaseList{}, err
		}
		if len(page.Leases) >= limit || seen >= 10*MaxLimit {
			page.Next = last
			break
		}
		seen, last = seen+1, Lease{Digest: v.Digest, Holder: v.Holder}.Cursor()
		for _, image := range v.images() {
			if v.Images[image].valid(now) && (req.Image == "" || req.Image == image) {
				page.Leases = append(page.Leases, v.lease(image))
			}
		}
	}
	return page, nil
}

// pruneLeases removes the leases that protect nothing any more.
func (s *Service) pruneLeases(ctx context.Context) error {
	for v, err := range s.leases(ctx, "", "") {
		if err != nil {
			return err
		}
		if len(v.current(s.now()).Images) == len(v.Images) && len(v.Images) > 0 {
			continue
		}
		fresh, ptr, err := s.loadLease(ctx, v.Digest, v.Holder)
		if err != nil {
			return err
		}
		err = s.saveLease(ctx, ptr, fresh.current(s.now()))
		if err != nil && !errors.Is(err, store.ErrConflict) { // extended meanwhile
			return fmt.Errorf("leases: %w", err)
		}
	}
	return nil
}

// leasedBy names the holders whose leases protect a digest of an image.
func (s *Service) leasedBy(ctx context.Context, image string, d digest.Digest) ([]Lease, error) {
	var list []Lease
	for v, err := range s.leases(ctx, d, "") {
		if err != nil {
			return nil, err
		}
		if l, ok := v.Images[image]; ok && l.protects(s.now()) {
			list = append(list, v.lease(image))
		}
	}
	return list, nil
}

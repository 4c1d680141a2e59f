package promotion

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Admits says whether a key may play a role for an image at a time, in some
// channel: KindDenied if it is not listed or its dates are over. open tells
// then that nobody was ever listed for the role, so that this key may be, by
// its first use.
func (t Trust) Admits(role Role, publicPEM []byte, image string, at time.Time) (open bool, err error) {
	e, err := newTrustEntry(TrustRequest{Role: role, Key: string(publicPEM)}, time.Time{})
	if err != nil {
		return false, err
	}
	err = t.mayPlay(role, e.KeyID, image, "", at)
	return err != nil && t.open(role), err
}

// mayPlay refuses a key or identity, by its id, that the trust does not list
// for a role, an image, a channel ("" for any) and a time.
func (t Trust) mayPlay(role Role, id, image, channel string, at time.Time) error {
	var late, elsewhere *TrustEntry
	for i := range t.Entries {
		e := &t.Entries[i]
		switch {
		case e.KeyID != id || !e.covers(role, image, ""):
		case !e.covers(role, image, channel):
			elsewhere = e
		case !e.current(at):
			late = e
		default:
			return nil
		}
	}
	switch {
	case late != nil && late.NotAfter != nil && at.After(*late.NotAfter):
		return errorf(KindDenied, "key %s is not trusted to %s %s any more: it was until %s", id, role, image, late.NotAfter.Format(time.RFC3339)).
			hinted("use the key that took its place; kiln trust list shows them")
	case late != nil:
		return errorf(KindDenied, "key %s is not trusted to %s %s yet: it will be from %s on", id, role, image, late.NotBefore.Format(time.RFC3339)).
			hinted("use the key that is good now; kiln trust list shows them")
	case elsewhere != nil:
		return errorf(KindDenied, "key %s is trusted to %s %s for channels %v, not for channel %s", id, role, image, elsewhere.Channels, channel).
			hinted("kiln trust add KEY.pub --role %s --image '%s' --channel %s", role, elsewhere.Image, strings.Join(append(slices.Clone(elsewhere.Channels), channel), " --channel "))
	}
	return untrusted(role, id, image)
}

// untrusted refuses a key that is not listed.
func untrusted(role Role, keyID, image string) error {
	return errorf(KindDenied, "key %s is not trusted to %s %s", keyID, role, image).
		hinted("kiln trust add KEY.pub --role %s --image %s", role, image)
}

// Admit lets a key play a role for an image: KindDenied if the trust does not
// list it, or not for this time. If nobody was ever listed for the role and
// firstUse is set, this key is, for every image, and recorded is true: the
// caller must say so.
func (s *Service) Admit(ctx context.Context, role Role, publicPEM []byte, image, by string, firstUse bool) (recorded bool, err error) {
	return s.admit(ctx, admission{role: role, key: publicPEM, image: image, by: by, firstUse: firstUse})
}

// admission is what a key wants to do.
type admission struct {
	role     Role
	key      []byte // PEM
	image    string
	channel  string // "" for any
	by       string
	firstUse bool
}

func (s *Service) admit(ctx context.Context, a admission) (recorded bool, err error) {
	e, err := newTrustEntry(TrustRequest{Role: a.role, Key: string(a.key), By: a.by}, s.now())
	if err != nil {
		return false, err
	}
	if e.AddedBy == "" {
		e.AddedBy = e.KeyID
	}
	_, err = s.changeTrust(ctx, func(t *Trust) (bool, error) {
		recorded = false
		if a.firstUse && t.open(a.role) {
			_, recorded, err = t.add(e)
			return recorded, err
		}
		return false, t.mayPlay(a.role, e.KeyID, a.image, a.channel, s.now())
	})
	return recorded && err == nil, err
}

// mover is the admission of the service's own key to a channel of an image.
func (s *Service) mover(image, channel, by string, firstUse bool) admission {
	return admission{role: RolePromote, key: s.signer.PublicPEM(), image: image, channel: channel, by: by, firstUse: firstUse}
}

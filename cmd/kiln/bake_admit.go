package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kiln/bake"
	"kiln/bake/template"
	"kiln/registry/promotion"
	"kiln/sign"
)

// checkTrust asks the store's trust about the keys of a bake and about its
// channel, and about parents that are revoked, before anything is built. It
// records nothing.
func (a *app) checkTrust(ctx context.Context, job *bakeJob) error {
	if err := checkParents(ctx, job); err != nil {
		return err
	}
	if job.signer == nil && job.promote == "" {
		return nil
	}
	t, err := job.backend.ops.Trust(ctx)
	if err != nil {
		return err
	}
	if job.signer != nil {
		first, err := admitsSigner(t, job.signer, job.images)
		if err == nil && first && job.backend.mayAdmit != nil {
			err = job.backend.mayAdmit(ctx)
		}
		if err != nil {
			return err
		}
	}
	if job.promote == "" {
		return nil
	}
	if err := checkPromoter(t, job); err != nil {
		return err
	}
	return checkChannel(ctx, job)
}

// admitsSigner refuses who may not bake some of the images.
func admitsSigner(t promotion.Trust, signer *sign.Signer, images []*template.Image) (first bool, err error) {
	who := signer.Principal().Identity
	if who == nil {
		return admits(t, promotion.RoleBake, signer.PublicPEM(), images)
	}
	for _, img := range images {
		if err := t.AdmitsIdentity(promotion.RoleBake, *who, img.FullName, time.Now()); err != nil {
			return false, err
		}
	}
	return false, nil
}

// admits refuses a key that the trust does not list and would not take; first
// says that it would be the first of its role.
func admits(t promotion.Trust, role promotion.Role, pem []byte, images []*template.Image) (first bool, err error) {
	for _, img := range images {
		open, err := t.Admits(role, pem, img.FullName, time.Now())
		if err != nil && !open {
			return false, err
		}
		first = first || open
	}
	return first, nil
}

// checkPromoter refuses a promotion that the trust would not let anyone sign.
func checkPromoter(t promotion.Trust, job *bakeJob) error {
	b := job.backend
	switch {
	case b.host != "" && !promoterListed(t): // a server lists its own key when it starts
		return withHint(exitDenied, fmt.Errorf("--promote %s: the server %s has no promotion key", job.promote, b.host),
			"start kiln serve with --promotion-key or KILN_PROMOTION_KEY")
	case b.host != "":
		return nil
	case b.promoter != nil:
		_, err := admits(t, promotion.RolePromote, b.promoter.PublicPEM(), job.promoted())
		return err
	case promoterListed(t):
		return errNoPromotionKey()
	}
	return nil
}

func checkChannel(ctx context.Context, job *bakeJob) error {
	names, err := job.backend.channels(ctx, job.targets[0].FullName)
	if err != nil || len(names) == 0 || slices.Contains(names, job.promote) {
		return err
	}
	return withHint(exitNotFound, fmt.Errorf("--promote %s: no channel %q; there are %v", job.promote, job.promote, names))
}

// serverChannels asks a server for its channels by way of an image that it
// knows; none if it knows no image yet.
func serverChannels(ops promotion.Operations) func(context.Context, string) ([]string, error) {
	return func(ctx context.Context, image string) ([]string, error) {
		list, err := ops.Channels(ctx, promotion.ChannelsRequest{Image: image})
		if promotion.KindOf(err) == promotion.KindNotFound {
			known, err := ops.Images(ctx, promotion.ImagesRequest{Limit: 1})
			if err != nil || len(known.Images) == 0 {
				return nil, err
			}
			list, err = ops.Channels(ctx, promotion.ChannelsRequest{Image: known.Images[0].Image})
			return channelNames(list), err
		}
		return channelNames(list), err
	}
}

func channelNames(list promotion.ChannelList) []string {
	var names []string
	for _, c := range list.Channels {
		names = append(names, c.Channel)
	}
	return names
}

// admitting lists the key of a bake as the first of its store when the first
// image is complete up to its signature: a bake that fails before leaves the
// trust as it was.
type admitting struct {
	bake.Publisher
	admit func(ctx context.Context, image string) error
}

// Current implements bake.Publisher.
func (p admitting) Current(ctx context.Context, img *bake.Image) (string, error) {
	tag, err := p.Publisher.Current(ctx, img)
	if err == nil && tag != "" {
		err = p.admit(ctx, img.Name)
	}
	return tag, err
}

// Publish implements bake.Publisher.
func (p admitting) Publish(ctx context.Context, img *bake.Image) (string, error) {
	if err := p.admit(ctx, img.Name); err != nil {
		return "", err
	}
	return p.Publisher.Publish(ctx, img)
}

// admit asks the store to take the key of a bake.
func (a *app) admit(job *bakeJob) func(ctx context.Context, image string) error {
	return func(ctx context.Context, image string) error {
		if who := job.signer.Principal().Identity; who != nil {
			return admitIdentity(ctx, job.backend.ops, *who, image)
		}
		recorded, err := job.backend.admit(ctx, job.signer, image)
		if recorded {
			a.say("first key of this store: recorded %s in its trust for baking", job.signer.KeyID())
		}
		return err
	}
}

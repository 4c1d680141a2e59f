package access

import (
	"context"
	"slices"

	"kiln/registry/promotion"
)

// guardedOperations asks before each method, and says who asks. It embeds
// nothing: a method that is added to the interface does not pass unasked.
type guardedOperations struct{ ops promotion.Operations }

var _ promotion.Operations = (*guardedOperations)(nil)

// mayOperate is nil if the identity of ctx may do verb with image and channel.
func mayOperate(ctx context.Context, verb Verb, image, channel string) error {
	on := clip(image)
	if image == EveryImage {
		on = "the whole store"
	}
	if channel != "" {
		on += ", channel " + clip(channel)
	}
	switch judge(ctx, verb, image, channel) {
	case granted:
		return nil
	case unauthenticated:
		return &promotion.Error{
			Kind: promotion.KindUnauthenticated, Message: "authentication required",
			Hint: "KILN_TOKEN holds the token for the server, or docker login puts a password where kiln finds it",
		}
	case narrowed:
		return &promotion.Error{
			Kind: promotion.KindDenied, Message: "a session of docker login may only push and pull",
			Hint: "present the token itself, in KILN_TOKEN",
		}
	default:
		return &promotion.Error{
			Kind: promotion.KindDenied, Message: clip(Owner(ctx)) + " may not " + deed(verb) + ": " + on,
			Hint: wanting(ctx, verb, image, channel),
		}
	}
}

// wanting is what an admin would have to grant: where only the channel is
// missing, that.
func wanting(ctx context.Context, verb Verb, image, channel string) string {
	id, _ := From(ctx)
	elsewhere := slices.ContainsFunc(id.Grants, func(g Grant) bool {
		return slices.Contains(g.Verbs, verb) && matchesImage(g.Images, image)
	})
	if channel != "" && elsewhere {
		return "the verb " + string(verb) + " is granted, and not for this channel: an admin adds " + clip(channel) + " to the channels of the grant"
	}
	return "an admin grants the verb " + string(verb)
}

func (g *guardedOperations) Promote(ctx context.Context, req promotion.PromoteRequest) (promotion.Promotion, error) {
	if err := mayOperate(ctx, Promote, req.Image, req.Channel); err != nil {
		return promotion.Promotion{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Promote(ctx, req)
}

func (g *guardedOperations) Rollback(ctx context.Context, req promotion.RollbackRequest) (promotion.Promotion, error) {
	if err := mayOperate(ctx, Rollback, req.Image, req.Channel); err != nil {
		return promotion.Promotion{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Rollback(ctx, req)
}

func (g *guardedOperations) Resolve(ctx context.Context, req promotion.ResolveRequest) (promotion.Resolution, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.Resolution{}, err
	}
	return g.ops.Resolve(ctx, req)
}

func (g *guardedOperations) History(ctx context.Context, req promotion.HistoryRequest) (promotion.History, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.History{}, err
	}
	return g.ops.History(ctx, req)
}

// Ancestry is for who may pull the image. Of other images it tells only of
// those that may be pulled, too, and its cursor tells nothing of the rest.
func (g *guardedOperations) Ancestry(ctx context.Context, req promotion.AncestryRequest) (promotion.Ancestry, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.Ancestry{}, err
	}
	id, err := lister(ctx)
	if err != nil {
		return promotion.Ancestry{}, err
	}
	limit := pageSize(req.Limit)
	var out promotion.Ancestry
	for first := true; ; first = false {
		page, err := g.ops.Ancestry(ctx, req)
		if err != nil {
			return promotion.Ancestry{}, err
		}
		if first {
			out = page
			out.Next, out.Descendants = "", []promotion.Descendant{}
			out.Parents = slices.DeleteFunc(out.Parents, func(p promotion.Ancestor) bool { return !lists(id, p.Image) })
		}
		for _, d := range page.Descendants {
			if !lists(id, d.Image) {
				continue
			}
			if len(out.Descendants) == limit {
				out.Next = out.Descendants[limit-1].Cursor()
				return out, nil
			}
			out.Descendants = append(out.Descendants, d)
		}
		if page.Next == "" {
			return out, nil
		}
		req.Cursor = page.Next
	}
}

func (g *guardedOperations) Versions(ctx context.Context, req promotion.VersionsRequest) (promotion.Versions, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.Versions{}, err
	}
	return g.ops.Versions(ctx, req)
}

func (g *guardedOperations) Channels(ctx context.Context, req promotion.ChannelsRequest) (promotion.ChannelList, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.ChannelList{}, err
	}
	return g.ops.Channels(ctx, req)
}

// Images lists what may be pulled. A page is as long as was asked for, where
// there is as much: what is left out shows nowhere, not in the cursor either.
func (g *guardedOperations) Images(ctx context.Context, req promotion.ImagesRequest) (promotion.Images, error) {
	id, err := lister(ctx)
	if err != nil {
		return promotion.Images{}, err
	}
	limit := pageSize(req.Limit)
	out := promotion.Images{Schema: promotion.ImagesSchema, Images: []promotion.Image{}}
	for {
		page, err := g.ops.Images(ctx, req)
		if err != nil {
			return promotion.Images{}, err
		}
		for _, image := range page.Images {
			if !lists(id, image.Image) {
				continue
			}
			if len(out.Images) == limit {
				out.Next = out.Images[limit-1].Image
				return out, nil
			}
			out.Images = append(out.Images, image)
		}
		if page.Next == "" {
			return out, nil
		}
		req.Cursor = page.Next
	}
}

// lister is the identity that asks for a list; KindUnauthenticated for a
// stranger who may see nothing.
func lister(ctx context.Context) (Identity, error) {
	id, ok := From(ctx)
	if !ok || id.Anonymous && len(id.Grants) == 0 {
		return Identity{}, mayOperate(ctx, Pull, "", "")
	}
	return id, nil
}

func pageSize(limit int) int {
	if limit <= 0 {
		return promotion.DefaultLimit
	}
	return min(limit, promotion.MaxLimit)
}

// Renew is a promotion to what the channel holds: of one image, for who may
// promote to each of its channels; of all, for who may so in the whole store.
func (g *guardedOperations) Renew(ctx context.Context, req promotion.RenewRequest) (promotion.Renewal, error) {
	if err := g.mayRenew(ctx, req); err != nil {
		return promotion.Renewal{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Renew(ctx, req)
}

func (g *guardedOperations) mayRenew(ctx context.Context, req promotion.RenewRequest) error {
	if req.Image == "" || req.Image == EveryImage {
		return mayOperate(ctx, Admin, EveryImage, "")
	}
	if req.Channel != "" {
		return mayOperate(ctx, Promote, req.Image, req.Channel)
	}
	list, err := g.Channels(ctx, promotion.ChannelsRequest{Image: req.Image})
	if err != nil {
		return err
	}
	for _, c := range list.Channels {
		if err := mayOperate(ctx, Promote, req.Image, c.Channel); err != nil {
			return err
		}
	}
	return nil
}

// Trust is public keys: whoever is known may see them, as a bake has to.
func (g *guardedOperations) Trust(ctx context.Context) (promotion.Trust, error) {
	if id, _ := From(ctx); id.Anonymous || id.Name == "" || id.narrow != nil {
		return promotion.Trust{}, mayOperate(ctx, Admin, EveryImage, "")
	}
	return g.ops.Trust(ctx)
}

func (g *guardedOperations) AddTrust(ctx context.Context, req promotion.TrustRequest) (promotion.TrustEntry, error) {
	if err := mayOperate(ctx, Admin, EveryImage, ""); err != nil {
		return promotion.TrustEntry{}, err
	}
	req.By = Owner(ctx)
	return g.ops.AddTrust(ctx, req)
}

func (g *guardedOperations) RemoveTrust(ctx context.Context, req promotion.TrustRequest) (promotion.Trust, error) {
	if err := mayOperate(ctx, Admin, EveryImage, ""); err != nil {
		return promotion.Trust{}, err
	}
	req.By = Owner(ctx)
	return g.ops.RemoveTrust(ctx, req)
}

func (g *guardedOperations) SetTrustRoot(ctx context.Context, req promotion.TrustRootRequest) (promotion.Trust, error) {
	if err := mayOperate(ctx, Admin, EveryImage, ""); err != nil {
		return promotion.Trust{}, err
	}
	req.By = Owner(ctx)
	return g.ops.SetTrustRoot(ctx, req)
}

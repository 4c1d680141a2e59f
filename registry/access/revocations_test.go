package access

import (
	"context"
	"errors"
	"testing"

	"kiln/registry/promotion"
)

// revoking is operations with revocations, two on a page.
type revoking struct {
	promotion.Operations
	images []string
}

func (r *revoking) Revocations(_ context.Context, req promotion.RevocationsRequest) (promotion.RevocationList, error) {
	var out promotion.RevocationList
	for _, image := range r.images {
		one := promotion.Revocation{Image: image, Digest: someDigest}
		if one.Cursor() <= req.Cursor {
			continue
		}
		if len(out.Revocations) == 2 {
			out.Next = out.Revocations[1].Cursor()
			break
		}
		out.Revocations = append(out.Revocations, one)
	}
	return out, nil
}

func (r *revoking) Revoke(_ context.Context, req promotion.RevokeRequest) (promotion.Revocation, error) {
	out := promotion.Revocation{Image: req.Image, Digest: req.Digest, By: req.By}
	for _, image := range r.images {
		out.Channels = append(out.Channels, promotion.StoppedChannel{Image: image, Channel: "dev", Digest: someDigest})
		out.Descendants = append(out.Descendants, promotion.Descendant{Image: image, Digest: someDigest})
	}
	return out, nil
}

func (r *revoking) Channels(context.Context, promotion.ChannelsRequest) (promotion.ChannelList, error) {
	return promotion.ChannelList{Channels: []promotion.Channel{{Channel: "dev"}, {Channel: "prod"}}}, nil
}

func (r *revoking) Approve(context.Context, promotion.ApproveRequest) (promotion.Approval, error) {
	return promotion.Approval{}, errReached
}

// Who may pull some images is told of those alone, and revokes under the own
// name.
func TestRevocationsTellOnlyWhatMayBePulled(t *testing.T) {
	guard := (&Gate{}).Operations(&revoking{images: []string{"acme/a", "acme/b", "other/c", "acme/d", "other/e"}})
	id := Identity{Name: "ann", Grants: []Grant{{Images: []string{"acme/*"}, Verbs: []Verb{Pull, Revoke}}}}
	ctx := With(t.Context(), id)
	var seen []string
	req := promotion.RevocationsRequest{Limit: 2}
	for range 3 {
		page, err := guard.Revocations(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Revocations {
			seen = append(seen, r.Image)
		}
		if req.Cursor = page.Next; page.Next == "" {
			break
		}
	}
	if len(seen) != 3 || seen[0] != "acme/a" || seen[1] != "acme/b" || seen[2] != "acme/d" {
		t.Errorf("seen %v", seen)
	}
	out, err := guard.Revoke(ctx, promotion.RevokeRequest{Image: "acme/a", Digest: someDigest, By: "root"})
	if err != nil || out.By != "ann" || len(out.Channels) != 3 || len(out.Descendants) != 3 {
		t.Errorf("%+v: %v", out, err)
	}
}

// An approval for any channel takes the verb for each.
func TestApprovalForAnyChannel(t *testing.T) {
	guard := (&Gate{}).Operations(&revoking{})
	for channels, want := range map[string]error{"dev": nil, "**": errReached} {
		id := Identity{Name: "ann", Grants: []Grant{{Images: []string{"acme/*"}, Channels: []string{channels}, Verbs: []Verb{Pull, Approve}}}}
		_, err := guard.Approve(With(t.Context(), id), promotion.ApproveRequest{Image: shop, Digest: someDigest})
		if want != nil && !errors.Is(err, want) || want == nil && promotion.KindOf(err) != promotion.KindDenied {
			t.Errorf("%s: %v", channels, err)
		}
	}
}

package promotionhttp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"kiln/registry/promotion"
)

// Trust implements promotion.Operations.
func (c *Client) Trust(ctx context.Context) (promotion.Trust, error) {
	var t promotion.Trust
	err := c.get(ctx, "trust", nil, &t)
	return c.checkTrust(t, err)
}

// AddTrust implements promotion.Operations.
func (c *Client) AddTrust(ctx context.Context, req promotion.TrustRequest) (promotion.TrustEntry, error) {
	var e promotion.TrustEntry
	err := c.post(ctx, "trust", req, &e)
	if err == nil && (e.Role != req.Role || e.Key != req.Key || e.KeyID == "") {
		err = c.offTopic()
	}
	return orNothing(e, err)
}

// SetTrustRoot implements promotion.Operations.
func (c *Client) SetTrustRoot(ctx context.Context, req promotion.TrustRootRequest) (promotion.Trust, error) {
	if len(req.Root) == 0 {
		req.Root = json.RawMessage("null")
	}
	var t promotion.Trust
	err := c.post(ctx, "trust/root", req, &t)
	return c.checkTrust(t, err)
}

// RemoveTrust implements promotion.Operations.
func (c *Client) RemoveTrust(ctx context.Context, req promotion.TrustRequest) (promotion.Trust, error) {
	if req.Identity != nil {
		id, err := promotion.TrustEntry{Identity: req.Identity}.Principal().ID()
		if err != nil {
			return promotion.Trust{}, err
		}
		req.KeyID = id
	}
	q := url.Values{}
	for name, value := range map[string]string{"key": req.Key, "key_id": req.KeyID, "role": string(req.Role), "image": req.Image} {
		if value != "" {
			q.Set(name, value)
		}
	}
	var t promotion.Trust
	_, err := c.call(ctx, http.MethodDelete, "trust", q, nil, &t)
	return c.checkTrust(t, err)
}

func (c *Client) checkTrust(t promotion.Trust, err error) (promotion.Trust, error) {
	if err == nil && t.Schema != promotion.TrustSchema {
		err = c.offTopic()
	}
	return orNothing(t, err)
}

// Admit lets a key play a role for an image, as promotion.Service.Admit does:
// KindDenied if the server's trust does not list it. If no key was ever listed
// for the role, this one is, for every image, and recorded is true: the caller
// must say so.
func (c *Client) Admit(ctx context.Context, role promotion.Role, publicPEM []byte, image string) (recorded bool, err error) {
	open, err := c.admits(ctx, role, publicPEM, image)
	if !open {
		return false, err
	}
	_, err = c.AddTrust(ctx, promotion.TrustRequest{
		Role: role, Key: string(publicPEM), Image: promotion.EveryImage, FirstUse: true,
	})
	if promotion.KindOf(err) != promotion.KindDenied {
		return err == nil, err
	}
	// Another key may have been first, or this one by another process.
	if open, again := c.admits(ctx, role, publicPEM, image); !open {
		return false, again
	}
	return false, notFirst(role, err)
}

// MayAdmit is KindDenied or KindUnauthenticated for who could not list the
// first key of a role by Admit, as an admin's rights are missing. It changes
// nothing.
func (c *Client) MayAdmit(ctx context.Context, role promotion.Role) error {
	// Robot tokens are for who may change the trust: an open server has none.
	switch _, err := c.ListTokens(ctx); promotion.KindOf(err) {
	case promotion.KindDenied:
		return notFirst(role, err)
	case promotion.KindUnauthenticated:
		return err
	}
	return nil
}

// notFirst refuses the first key of a role.
func notFirst(role promotion.Role, err error) error {
	return &promotion.Error{
		Kind: promotion.KindDenied, Message: fmt.Sprintf("no key is trusted to %s yet, and the first is for an admin to list: %v", role, err), Err: err,
		Hint: fmt.Sprintf("an admin of the server runs kiln trust add KEY.pub --role %s", role),
	}
}

// admits asks for the trust and looks the key up in it.
func (c *Client) admits(ctx context.Context, role promotion.Role, publicPEM []byte, image string) (open bool, err error) {
	t, err := c.Trust(ctx)
	if err != nil {
		return false, err
	}
	return t.Admits(role, publicPEM, image, time.Now())
}

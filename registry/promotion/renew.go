package promotion

import (
	"context"
	"fmt"
)

// Renew implements Operations: statements of channels that hold something, with
// a new lifetime. What is revoked gets none.
func (s *Service) Renew(ctx context.Context, req RenewRequest) (Renewal, error) {
	if s.signer == nil {
		return Renewal{}, errorf(KindDenied, "%w", ErrNoSigner).
			hinted("give --promotion-key or KILN_PROMOTION_KEY")
	}
	out := Renewal{Schema: RenewSchema, Renewed: []Renewed{}, Revoked: []Renewed{}}
	if req.Image != "" {
		if err := s.checkKnown(ctx, req.Image); err != nil {
			return Renewal{}, err
		}
		err := s.renew(ctx, req.Image, req.Channel, &out)
		return out, err
	}
	for name, err := range s.registry.Repositories(ctx, "") {
		if err != nil {
			return out, fmt.Errorf("images: %w", err)
		}
		if err := s.renew(ctx, name, req.Channel, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// renew issues anew for one image and adds to out what it did.
func (s *Service) renew(ctx context.Context, image, channel string, out *Renewal) error {
	channels := s.channels
	if channel != "" {
		if err := s.checkChannel(image, channel); err != nil {
			return err
		}
		channels = []string{channel}
	}
	st, err := s.state(ctx, image)
	if err != nil {
		return err
	}
	for _, name := range channels {
		c, ok := st.Channels[name]
		if !ok {
			continue
		}
		done := Renewed{Image: image, Channel: name, Digest: c.Digest, Expires: c.Issue.Expires}
		fresh, err := s.reissue(ctx, image, name)
		switch KindOf(err) {
		case "":
			now := fresh.Channels[name]
			done.Digest, done.Expires = now.Digest, now.Issue.Expires
			out.Renewed = append(out.Renewed, done)
		case KindRevoked:
			out.Revoked = append(out.Revoked, done)
		default:
			return err
		}
	}
	return nil
}

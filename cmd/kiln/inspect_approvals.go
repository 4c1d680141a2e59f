package main

import (
	"context"
	"strings"
	"time"

	"kiln/registry/promotion"
)

// inspectApproval is somebody's yes to promoting the version.
type inspectApproval struct {
	Channel string    `json:"channel"` // "" for any
	By      string    `json:"by"`      // the key or identity that signed it, else who is known to have said it
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`
	Trusted bool      `json:"trusted"` // by the store's trust as it is now
	// TrustedIn are the channels in which one for any counts, if not in all.
	TrustedIn []string `json:"trusted_in,omitempty"`
}

// describeApprovals lists who approved the version.
func (l *looked) describeApprovals(ctx context.Context, r *inspectReport) error {
	list, err := l.place.store.ops.Approvals(ctx, promotion.ApprovalsRequest{Image: l.place.repo, Digest: l.version})
	if err != nil {
		return err
	}
	for _, a := range list.Approvals {
		r.Approvals = append(r.Approvals, inspectApproval{a.Channel, firstOf(a.KeyID, a.By), a.At, a.Reason, a.Trusted, a.TrustedIn})
	}
	return nil
}

func printApprovals(r inspectReport, line func(string, string, ...any)) {
	for i, a := range r.Approvals {
		trust := "not by who the trust lists"
		if a.Trusted {
			trust = "trusted"
		} else if len(a.TrustedIn) > 0 {
			trust = "trusted for " + strings.Join(a.TrustedIn, ", ")
		}
		line([]string{"approved", ""}[min(i, 1)], "for %s by %s at %s (%s)", firstOf(a.Channel, "any channel"), shortDigest(a.By), a.At.UTC().Format(time.RFC3339), trust)
	}
}

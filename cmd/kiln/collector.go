package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kiln/registry/contentstore"
	"kiln/registry/promotion"
)

// collector lets the domain say what must stay, and the content store remove
// the rest.
type collector struct {
	content *contentstore.Registry
	log     *slog.Logger // silent if nil
}

// Collect implements promotion.Collector.
func (c collector) Collect(ctx context.Context, p promotion.Collection) (promotion.CollectResult, error) {
	done, err := c.content.Collect(ctx, contentstore.CollectOptions{
		Roots: contentstore.Roots(p.Roots), Untagged: p.Untagged, Grace: p.Grace, Apply: p.Apply, Log: c.log,
	})
	if errors.Is(err, contentstore.ErrCollecting) {
		err = &promotion.Error{Kind: promotion.KindConflict, Message: "another collection is under way", Hint: "wait for it to end", Err: err}
	}
	return promotion.CollectResult{
		Removed: garbage(done.Removed), Condemned: garbage(done.Condemned), Rescued: done.Rescued,
		Bytes: done.Bytes, BytesCondemned: done.BytesCondemned,
		Young: done.Young.Count, BytesYoung: done.Young.Bytes, YoungDue: due(done.Young.Due),
	}, err
}

func garbage(list []contentstore.Garbage) []promotion.Garbage {
	out := make([]promotion.Garbage, 0, min(len(list), promotion.MaxListed+1))
	for _, g := range list[:min(len(list), promotion.MaxListed+1)] {
		out = append(out, promotion.Garbage{Kind: g.Kind, Image: g.Image, Digest: g.Digest, Size: g.Size, Due: due(g.Due)})
	}
	return out
}

func due(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

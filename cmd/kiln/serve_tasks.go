package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kiln/registry/promotion"
	"kiln/registry/store"
)

// upkeep is what the tasks of a server work on. Who asks is not judged here:
// the operations are those without a guard.
type upkeep struct {
	backend *backend
	cfg     serveConfig
	log     *slog.Logger
	metrics *serveMetrics
}

// byServer is the name under which a server acts by itself.
const byServer = "kiln serve"

// tasks lists what this server has to do.
func (u *upkeep) tasks() []task {
	list := []task{{"prune_uploads", time.Hour, u.pruneUploads}}
	if u.backend.promoter != nil {
		list = append(list, task{"renew_statements", promotion.ServerLifetime / 24, u.renew})
	}
	if u.cfg.collection.every > 0 {
		list = append(list, task{"collect", u.cfg.collection.every, u.collect})
	}
	return list
}

// pruneUploads forgets uploads that nobody went on with.
func (u *upkeep) pruneUploads(ctx context.Context) error {
	n, err := u.backend.content.PruneUploads(ctx)
	u.metrics.pruned.WithLabelValues("upload").Add(float64(n))
	if n > 0 {
		u.log.Info("expired uploads removed", "count", n)
	}
	return u.unlessReadOnly(err)
}

// unlessReadOnly: on a store that takes no writes there is nothing to tidy.
func (u *upkeep) unlessReadOnly(err error) error {
	if errors.Is(err, store.ErrReadOnly) {
		u.log.Debug("nothing to tidy on a store that takes no writes", "err", err)
		return nil
	}
	return err
}

// renew issues the statements anew that are past half of their life. Another
// replica that does so at the same time is no harm: one of the two is kept.
func (u *upkeep) renew(ctx context.Context) error {
	var failed []error
	cursor := ""
	for {
		page, err := u.backend.service.Images(ctx, promotion.ImagesRequest{Cursor: cursor})
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for _, image := range page.Images {
			failed = append(failed, u.renewImage(ctx, image.Image))
		}
		if cursor = page.Next; cursor == "" || ctx.Err() != nil {
			return errors.Join(failed...)
		}
	}
}

// renewImage does so for one image.
func (u *upkeep) renewImage(ctx context.Context, image string) error {
	list, err := u.backend.service.Channels(ctx, promotion.ChannelsRequest{Image: image})
	if err != nil {
		return err
	}
	for _, c := range list.Channels {
		if !isDue(c, time.Now()) {
			continue
		}
		done, err := u.backend.service.Renew(ctx, promotion.RenewRequest{Image: image, Channel: c.Channel, By: byServer})
		if err != nil {
			return u.unlessReadOnly(err)
		}
		u.metrics.renewed.Add(float64(len(done.Renewed)))
		for _, r := range done.Renewed {
			u.log.Info("statement renewed", "repo", r.Image, "channel", r.Channel, "digest", r.Digest, "expires", r.Expires.UTC())
		}
	}
	return nil
}

// isDue says whether a channel's statement is past half of its life. What is
// revoked gets none.
func isDue(c promotion.Channel, now time.Time) bool {
	if c.Revoked || c.Issued == nil || c.Expires == nil {
		return false
	}
	return !now.Before(c.Issued.Add(c.Expires.Sub(*c.Issued) / 2))
}

// collect retires versions that no rule keeps, and removes what nothing
// reaches.
func (u *upkeep) collect(ctx context.Context) error {
	res, err := u.backend.service.Collect(ctx, promotion.CollectRequest{
		Apply: true, Grace: promotion.Duration(u.cfg.collection.grace), By: byServer,
	})
	if promotion.KindOf(err) == promotion.KindConflict {
		u.log.Debug("another replica collects", "err", err)
		return nil
	}
	if err != nil {
		return u.unlessReadOnly(err)
	}
	for _, g := range res.Removed {
		u.metrics.collected.WithLabelValues(g.Kind).Inc()
	}
	u.metrics.collected.WithLabelValues("version").Add(float64(len(res.Retired)))
	u.metrics.won.Add(float64(res.Bytes))
	u.metrics.condemned.Set(float64(res.BytesCondemned))
	return nil
}

package main

import (
	"context"
	"slices"

	"kiln/registry/promotion"
)

// meteredOperations counts the moves of channels.
type meteredOperations struct {
	promotion.Operations
	metrics  *serveMetrics
	channels []string // that there are: others are one label
}

// newMeteredOperations counts from 0 on: what first shows as 1 has no rate.
func newMeteredOperations(ops promotion.Operations, m *serveMetrics, channels []string) *meteredOperations {
	results := []promotion.Kind{
		"moved", "unchanged", promotion.KindInternal, promotion.KindInvalid, promotion.KindDenied, promotion.KindVerification,
		promotion.KindRevoked, promotion.KindConflict, promotion.KindNotFound, promotion.KindUnauthenticated,
	}
	for _, channel := range append(slices.Clone(channels), "other") {
		for _, result := range results {
			m.promotions.WithLabelValues("promote", channel, string(result))
			m.promotions.WithLabelValues("rollback", channel, string(result))
		}
	}
	return &meteredOperations{Operations: ops, metrics: m, channels: channels}
}

// Promote implements promotion.Operations.
func (o *meteredOperations) Promote(ctx context.Context, req promotion.PromoteRequest) (promotion.Promotion, error) {
	p, err := o.Operations.Promote(ctx, req)
	o.count("promote", req.Channel, p.Unchanged, err)
	return p, err
}

// Rollback implements promotion.Operations.
func (o *meteredOperations) Rollback(ctx context.Context, req promotion.RollbackRequest) (promotion.Promotion, error) {
	p, err := o.Operations.Rollback(ctx, req)
	o.count("rollback", req.Channel, p.Unchanged, err)
	return p, err
}

func (o *meteredOperations) count(action, channel string, unchanged bool, err error) {
	if !slices.Contains(o.channels, channel) {
		channel = "other"
	}
	result := string(promotion.KindOf(err))
	switch {
	case err == nil && unchanged:
		result = "unchanged"
	case err == nil:
		result = "moved"
	}
	o.metrics.promotions.WithLabelValues(action, channel, result).Inc()
}

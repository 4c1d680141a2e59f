package access

import (
	"context"

	"kiln/registry/promotion"
)

// Check is for who may pull the image: it tells what its evidence says, and
// what a promotion would be refused with.
func (g *guardedOperations) Check(ctx context.Context, req promotion.CheckRequest) (promotion.Check, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.Check{}, err
	}
	req.By = Owner(ctx)
	return g.ops.Check(ctx, req)
}

// Decisions carry the policy's source.
func (g *guardedOperations) Decisions(ctx context.Context, req promotion.DecisionsRequest) (promotion.DecisionList, error) {
	if err := mayOperate(ctx, Policy, req.Image, ""); err != nil {
		return promotion.DecisionList{}, err
	}
	return g.ops.Decisions(ctx, req)
}

func (a *auditedOperations) Check(ctx context.Context, req promotion.CheckRequest) (promotion.Check, error) {
	return a.ops.Check(ctx, req)
}

func (a *auditedOperations) Decisions(ctx context.Context, req promotion.DecisionsRequest) (promotion.DecisionList, error) {
	return a.ops.Decisions(ctx, req)
}

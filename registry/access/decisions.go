package access

import (
	"context"
	"encoding/json"

	"kiln/registry/promotion"
)

// Check is for who may pull the image: it tells what its evidence says, and
// what a promotion would be refused with. What it was baked on is told where
// that may be pulled, too, or stands in the way.
func (g *guardedOperations) Check(ctx context.Context, req promotion.CheckRequest) (promotion.Check, error) {
	if err := mayOperate(ctx, Pull, req.Image, ""); err != nil {
		return promotion.Check{}, err
	}
	req.By = Owner(ctx)
	c, err := g.ops.Check(ctx, req)
	if err != nil || mayPullLine(ctx, c.Document) {
		return c, err
	}
	c.Document = nil
	for i, f := range c.Findings {
		if f.Rule == "ancestry" && f.OK {
			c.Findings[i].Fact = "known; some of it you may not pull"
		}
	}
	return c, nil
}

// mayPullLine says whether who asks may pull all that facts say a version was
// baked on.
func mayPullLine(ctx context.Context, facts []byte) bool {
	if len(facts) == 0 {
		return true
	}
	var f struct {
		Ancestry struct {
			Ancestors []struct {
				Image   string `json:"image"`
				Foreign bool   `json:"foreign"`
			} `json:"ancestors"`
		} `json:"ancestry"`
	}
	id, err := lister(ctx)
	if err != nil || json.Unmarshal(facts, &f) != nil {
		return false
	}
	for _, a := range f.Ancestry.Ancestors {
		if !a.Foreign && !lists(id, a.Image) {
			return false
		}
	}
	return true
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

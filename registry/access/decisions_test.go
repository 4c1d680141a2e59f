package access

import (
	"context"
	"strings"
	"testing"

	"kiln/policy"
	"kiln/registry/promotion"
)

// checked is operations with one check.
type checked struct{ promotion.Operations }

func (checked) Check(context.Context, promotion.CheckRequest) (promotion.Check, error) {
	return promotion.Check{
		Image: shop, Allow: true, Facts: someDigest,
		Document: []byte(`{"ancestry":{"ancestors":[{"image":"other/base","reason":"secret"},{"image":"ghcr.example.com/x","foreign":true}]}}`),
		Findings: []promotion.Finding{{Rule: "signature", OK: true, Fact: "by ann"}, {Rule: "ancestry", OK: true, Fact: "on other/base@sha256:1"}},
	}, nil
}

// A check tells of what a version was baked on to who may pull that.
func TestCheckTellsOnlyWhatMayBePulled(t *testing.T) {
	guard := (&Gate{}).Operations(checked{})
	ask := func(images ...string) promotion.Check {
		id := Identity{Name: "ann", Grants: []Grant{{Images: images, Verbs: []Verb{Pull}}}}
		c, err := guard.Check(With(t.Context(), id), promotion.CheckRequest{Image: shop, Digest: someDigest, Channel: "dev"})
		if err != nil || !c.Allow || len(c.Findings) != 2 {
			t.Fatalf("%+v: %v", c, err)
		}
		return c
	}
	if c := ask("acme/*", "other/*"); len(c.Document) == 0 || !strings.Contains(c.Findings[1].Fact, "other/base") {
		t.Errorf("who may pull both: %+v", c)
	}
	c := ask("acme/*")
	if len(c.Document) != 0 || strings.Contains(c.Findings[1].Fact, "other") || c.Findings[0].Fact != "by ann" {
		t.Errorf("who may pull one: %+v", c)
	}
	if _, err := c.Against(t.Context(), policy.Default()); promotion.KindOf(err) != promotion.KindDenied {
		t.Errorf("another policy without the facts: %v", err)
	}
}

package promotionhttp

import (
	"fmt"
	"slices"
	"testing"

	"kiln/registry/promotion"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// onTop has the next images say that they were baked on d.
func (w *world) onTop(image string, d digest.Digest) {
	w.on = map[string]string{ocispec.AnnotationBaseImageName: image, ocispec.AnnotationBaseImageDigest: string(d)}
}

func testAncestry(t *testing.T, w *world, ops promotion.Operations) {
	ctx := t.Context()
	base1, base2 := w.tagged("acme/base", "1"), w.tagged("acme/base", "2")
	w.onTop("acme/base", base1)
	run1 := w.tagged("acme/run", "1")
	w.tagged("acme/tool", "tool 1")
	w.onTop("acme/run", run1)
	shop1, shop2 := w.tagged(shop, "1"), w.tagged(shop, "2")
	w.onTop("acme/base", base2)
	tool2 := w.tagged("acme/tool", "2")
	w.image("acme/untagged", "x") // no version

	list := func(req promotion.AncestryRequest) []string {
		t.Helper()
		var got []string
		for {
			page, err := ops.Ancestry(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Descendants {
				got = append(got, fmt.Sprint(d.Image, " ", d.Digest == shop2 || d.Digest == tool2 || d.Digest == run1, d.Latest, d.Tag != ""))
			}
			if req.Cursor = page.Next; page.Next == "" {
				return got
			}
		}
	}
	for name, c := range map[string]struct {
		req  promotion.AncestryRequest
		want []string
	}{
		"one version":     {promotion.AncestryRequest{Image: "acme/base", Digest: base1, Limit: 1}, []string{"acme/run true true true", "acme/tool false false true"}},
		"newest of it":    {promotion.AncestryRequest{Image: "acme/base", Digest: base1, Latest: true}, []string{"acme/run true true true"}},
		"any version":     {promotion.AncestryRequest{Image: "acme/base", Latest: true, Limit: 1}, []string{"acme/run true true true", "acme/tool true true true"}},
		"newest children": {promotion.AncestryRequest{Image: "acme/run", Digest: run1, Latest: true}, []string{"acme/shop true true true"}},
		"only parents":    {promotion.AncestryRequest{Image: "acme/run", Digest: run1, ParentsOnly: true}, nil},
		"a leaf":          {promotion.AncestryRequest{Image: shop, Digest: shop1}, nil},
	} {
		if got := list(c.req); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	line, err := ops.Ancestry(ctx, promotion.AncestryRequest{Image: shop, Digest: shop1})
	parents := []promotion.Ancestor{{Image: "acme/run", Digest: run1, Stored: true}, {Image: "acme/base", Digest: base1, Stored: true}}
	if err != nil || !slices.Equal(line.Parents, parents) {
		t.Errorf("parents %+v: %v", line.Parents, err)
	}
	_, err = ops.Ancestry(ctx, promotion.AncestryRequest{Image: "acme/none"})
	want(t, err, promotion.KindNotFound, "acme/none")
	_, err = ops.Ancestry(ctx, promotion.AncestryRequest{Image: shop, Digest: absent})
	want(t, err, promotion.KindNotFound, "no version")
	_, err = ops.Ancestry(ctx, promotion.AncestryRequest{Image: shop, Digest: "sha256:x"})
	want(t, err, promotion.KindInvalid, "sha256:x")
}

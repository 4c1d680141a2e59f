package bake

import (
	"context"
	"os"
	"testing"

	"github.com/opencontainers/go-digest"

	"kiln/sign"
)

// What was answered out of a store that nobody vouched for is found again by a
// bake that would believe the same, and by no other: not by one that signs.
func TestAnswerToldByTheStore(t *testing.T) {
	first := builder(t, BuilderOptions{})
	chain, told := []string{"sha256:aa"}, digest.FromString("what it tells")
	with := func(r *Records, at digest.Digest) *Builder {
		b := builder(t, BuilderOptions{Cache: first.cache, Records: r})
		if at != "" {
			b.learn(chain[0], "acme/base", at)
		}
		return b
	}
	nobody := func(context.Context, string) (*sign.Verifier, error) { return nil, nil }
	b := with(&Records{}, told)
	b.doubt()
	if err := b.keepAnswer(t.Context(), "lie", chain, "places", "k"); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		b    *Builder
		want bool
	}{
		"the same":          {with(&Records{}, told), true},
		"told otherwise":    {with(&Records{}, digest.FromString("another")), false},
		"told nothing":      {with(&Records{}, ""), false},
		"a bake that signs": {with(&Records{Bakers: nobody}, told), false},
		"without a store":   {with(nil, ""), false},
	} {
		var got string
		if found := c.b.answer(t.Context(), &got, chain, "places", "k"); found != c.want || c.b.sure() == found {
			t.Errorf("%s: found %v, sure %v", name, found, c.b.sure())
		}
	}
	sure := with(nil, "")
	if err := sure.keepAnswer(t.Context(), "truth", chain, "places", "k"); err != nil {
		t.Fatal(err)
	}
	var got string
	if b := with(&Records{Bakers: nobody}, told); !b.answer(t.Context(), &got, chain, "places", "k") || got != "truth" {
		t.Errorf("a bake that signs finds %q of what this machine found out", got)
	}
}

// Which files an image has is kept like any other answer: a list that nobody
// vouched for is not what a bake that signs copies.
func TestFilesToldByTheStore(t *testing.T) {
	recipe := project(t, map[string]string{"f": "x", "kiln.hcl": `project = "acme"
image "a" {
  copy {
    source = "f"
    target = "/f"
  }
}
`})
	b := builder(t, BuilderOptions{})
	img := buildAll(t, b, recipe)
	before := entriesIn(t, b.cache, "places")
	b.Records = &Records{}
	b.doubt()
	if files, err := b.filesOf(t.Context(), img.Image, "/f"); err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	if got := entriesIn(t, b.cache, "places"); got != before {
		t.Errorf("%d answers are kept for everyone, want %d", got, before)
	}
	sure := builder(t, BuilderOptions{Cache: b.cache})
	if _, err := sure.filesOf(t.Context(), img.Image, "/f"); err != nil {
		t.Fatal(err)
	}
	if got := entriesIn(t, b.cache, "places"); got != before+1 {
		t.Errorf("%d answers are kept, want %d", got, before+1)
	}
}

func entriesIn(t *testing.T, c *Cache, dir string) int {
	t.Helper()
	list, err := os.ReadDir(c.path(dir))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

package bake

import (
	"context"
	"errors"
	"testing"

	"github.com/opencontainers/go-digest"
)

// tagsOf finds the same tags for every digest.
type tagsOf []string

func (t tagsOf) TagsOf(context.Context, string, digest.Digest) ([]string, error) { return t, nil }

func TestOvertaken(t *testing.T) {
	const old, new = "20260101T000000Z-0123456789ab", "20260102T000000Z-0123456789ab"
	for _, c := range []struct {
		before, now []string
		tag         string
	}{
		{nil, nil, ""},
		{[]string{old}, []string{old}, ""}, // a version that this bake completes
		{nil, []string{new}, new},
		{[]string{old}, []string{new, old}, new},
	} {
		p := &RegistryPublisher{Versions: tagsOf(c.now)}
		tag, err := p.overtaken(t.Context(), &Image{Name: "acme/shop"}, c.before)
		if tag != c.tag || errors.Is(err, ErrOvertaken) != (c.tag != "") || err != nil && c.tag == "" {
			t.Errorf("%v, then %v: %q, %v", c.before, c.now, tag, err)
		}
	}
}

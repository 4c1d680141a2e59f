package main

import (
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"kiln/registry/promotion"
)

// collectionConfig is the collection block: what removes what nothing reaches.
type collectionConfig struct {
	every time.Duration // 0 is never
	grace time.Duration
}

func readCollection(b *configBlock) collectionConfig {
	c := collectionConfig{grace: day}
	if b == nil {
		return c
	}
	b.Require("every")
	c.every = b.duration("every", 0, time.Second, 30*day)
	c.grace = b.duration("grace", c.grace, time.Second, 365*day)
	b.Done()
	return c
}

// readRetention reads the retention blocks: which versions of some images stay.
// The first that matches an image decides.
func readRetention(blocks []*configBlock) []promotion.RetentionRule {
	var list []promotion.RetentionRule
	for _, b := range blocks {
		r := promotion.RetentionRule{
			Image:       b.Labels[0],
			KeepLast:    b.whole("keep_last", 0, 1, 1_000_000),
			KeepYounger: promotion.Duration(b.duration("keep_younger", 0, time.Minute, 3650*day)),
			KeepTags:    b.patterns("keep_tags"),
			History:     b.whole("history", 0, 1, 1_000_000),
		}
		b.checkPattern("the label", r.Image)
		if !b.Has("keep_last") && !b.Has("keep_younger") && !b.Has("keep_tags") && !b.Has("history") {
			b.WrongBlock("says nothing: write keep_last, keep_younger, keep_tags or history")
		}
		b.Done()
		list = append(list, r)
	}
	return list
}

// patterns reads patterns of names, in which * stands for a part and ** for
// any number of them.
func (b *configBlock) patterns(name string) []string {
	list := b.Texts(name)
	for _, p := range list {
		b.checkPattern(name, p)
	}
	return list
}

func (b *configBlock) checkPattern(name, pattern string) {
	if !doublestar.ValidatePattern(pattern) {
		b.Add(b.At(name), b.Where, "%s: %q is no pattern", name, pattern)
	}
}

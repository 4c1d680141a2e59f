package promotion

import (
	"slices"
	"time"

	"github.com/bmatcuk/doublestar/v4"
)

// RetentionRule says which versions of the images of a pattern stay. The first
// rule that matches an image decides; of an image that none matches everything
// stays. A version stays if any of KeepLast, KeepYounger and KeepTags keeps
// it, and all do if none of the three is set. What a channel, the kept part of
// its history, a lease or a kept version that was baked on it needs always
// stays.
type RetentionRule struct {
	Image       string   `json:"image"`                  // pattern, as in TrustEntry
	KeepLast    int      `json:"keep_last,omitempty"`    // newest versions
	KeepYounger Duration `json:"keep_younger,omitempty"` // by the time of the bake
	KeepTags    []string `json:"keep_tags,omitempty"`    // patterns, of any tag of it
	// History is how many distinct digests stay that a channel held before
	// what it holds now, the newest first; 0 is all. Rollbacks go there.
	History int `json:"history,omitempty"`
}

// maxRules bounds the rules of a collection.
const maxRules = 1000

// checkRules refuses rules that make no sense.
func checkRules(rules []RetentionRule) error {
	if len(rules) > maxRules {
		return errorf(KindInvalid, "%d retention rules; at most %d", len(rules), maxRules)
	}
	for i, r := range rules {
		patterns := append([]string{r.Image}, r.KeepTags...)
		switch {
		case r.Image == "" || slices.ContainsFunc(patterns, func(p string) bool { return len(p) > 200 || !doublestar.ValidatePattern(p) }):
			return errorf(KindInvalid, "retention rule %d: one of %q is no pattern", i+1, patterns)
		case r.KeepLast < 0 || r.KeepYounger < 0 || r.History < 0:
			return errorf(KindInvalid, "retention rule %d for %s: a number is negative", i+1, clip(r.Image))
		}
	}
	return nil
}

// ruleOf is the rule that decides for an image; the zero rule keeps everything.
func ruleOf(rules []RetentionRule, image string) RetentionRule {
	for _, r := range rules {
		if doublestar.MatchUnvalidated(r.Image, image) {
			return r
		}
	}
	return RetentionRule{}
}

// retires tells whether versions can go by the rule at all.
func (r RetentionRule) retires() bool {
	return r.KeepLast > 0 || r.KeepYounger > 0 || len(r.KeepTags) > 0
}

// keeps tells whether the rule keeps a version: the place in the order of its
// image, newest first from 0, the time of its newest bake, and all its tags.
func (r RetentionRule) keeps(place int, created time.Time, tags []string, now time.Time) bool {
	if !r.retires() || place < r.KeepLast || r.KeepYounger > 0 && now.Sub(created) < time.Duration(r.KeepYounger) {
		return true
	}
	return slices.ContainsFunc(r.KeepTags, func(pattern string) bool {
		return slices.ContainsFunc(tags, func(tag string) bool { return doublestar.MatchUnvalidated(pattern, tag) })
	})
}

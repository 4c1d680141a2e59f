package promotion

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// candidate is one version, as retention sees it.
type candidate struct {
	image   string
	digest  digest.Digest
	base    digest.Digest // "" for none
	on      string        // the image that base is of
	tags    []string      // version tags, newest first
	created time.Time     // of the newest
	stored  time.Time     // of the newest, by the store's clock
	young   bool          // stored within the grace
	kept    bool
}

// retirements lists the versions that can go: no rule keeps them, nothing needs
// them, and no version that stays was baked on them. A version that was stored
// within the grace waits: whoever baked it has not promoted it yet.
func (v *view) retirements(ctx context.Context, grace time.Duration) (_ []Retired, waiting int, _ error) {
	if !slices.ContainsFunc(v.rules, RetentionRule.retires) {
		return []Retired{}, 0, nil
	}
	type key struct {
		image  string
		digest digest.Digest
	}
	needed := map[key]bool{}
	if err := v.roots(ctx, func(image string, d digest.Digest) { needed[key{image, d}] = true }); err != nil {
		return nil, 0, err
	}
	byDigest := map[digest.Digest][]*candidate{}
	var all []*candidate
	for image, err := range v.s.registry.Repositories(ctx, "") {
		if err != nil {
			return nil, 0, fmt.Errorf("images: %w", err)
		}
		list, err := v.candidates(ctx, image, grace)
		if err != nil {
			return nil, 0, err
		}
		for _, c := range list {
			c.kept = c.kept || needed[key{c.image, c.digest}]
			byDigest[c.digest] = append(byDigest[c.digest], c)
		}
		all = append(all, list...)
	}
	if err := v.addPlatforms(ctx, all, byDigest); err != nil {
		return nil, 0, err
	}
	keepParents(all, byDigest)
	for _, c := range all {
		if !c.kept && c.young {
			c.kept = true
			waiting++
		}
	}
	keepParents(all, byDigest)
	retired := []Retired{}
	for _, c := range all {
		if !c.kept {
			retired = append(retired, Retired{Image: c.image, Digest: c.digest, Tags: c.tags, Created: c.created})
		}
	}
	return retired, waiting, nil
}

// addPlatforms finds the versions for several platforms that others stand on by
// the image of one of these, which is no version itself.
func (v *view) addPlatforms(ctx context.Context, all []*candidate, byDigest map[digest.Digest][]*candidate) error {
	missing, images := map[digest.Digest]bool{}, map[string]bool{}
	for _, c := range all {
		if c.base != "" && len(byDigest[c.base]) == 0 {
			missing[c.base], images[c.on] = true, true
		}
	}
	for _, c := range all {
		if !images[c.image] {
			continue
		}
		parts, err := v.s.partsOf(ctx, c.image, c.digest, func(ocispec.Descriptor) bool { return true })
		if err != nil {
			return err
		}
		for _, d := range parts {
			if missing[d] {
				byDigest[d] = append(byDigest[d], c)
			}
		}
	}
	return nil
}

// keepParents keeps what kept versions were baked on, in every image.
func keepParents(all []*candidate, byDigest map[digest.Digest][]*candidate) {
	var queue []*candidate
	for _, c := range all {
		if c.kept {
			queue = append(queue, c)
		}
	}
	for len(queue) > 0 {
		c := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, parent := range byDigest[c.base] {
			if !parent.kept {
				parent.kept = true
				queue = append(queue, parent)
			}
		}
	}
}

// candidates lists the versions of one image, and which of them its rule keeps.
func (v *view) candidates(ctx context.Context, image string, grace time.Duration) ([]*candidate, error) {
	var list []*candidate
	at := map[digest.Digest]*candidate{}
	for e, err := range v.s.entries(ctx, image, "", "") {
		if err != nil {
			return nil, err
		}
		c := at[e.Digest]
		if c == nil {
			c = &candidate{image: image, digest: e.Digest, base: e.Base, on: e.BaseName, created: e.Created}
			at[e.Digest] = c
			list = append(list, c)
		}
		c.tags = append(c.tags, e.Tag)
		if e.stored.After(c.stored) {
			c.stored = e.stored
		}
	}
	rule := ruleOf(v.rules, image)
	others, err := v.otherTags(ctx, image, rule)
	if err != nil {
		return nil, err
	}
	now := v.s.now()
	for place, c := range list {
		tags := append(slices.Clone(c.tags), others[c.digest]...)
		c.kept, c.young = rule.keeps(place, c.created, tags, now), now.Sub(c.stored) < grace
	}
	return list, nil
}

// otherTags lists the tags that are no version tags, where the rule asks.
func (v *view) otherTags(ctx context.Context, image string, rule RetentionRule) (map[digest.Digest][]string, error) {
	if len(rule.KeepTags) == 0 {
		return nil, nil
	}
	return v.s.plainTags(ctx, image, func(digest.Digest) bool { return true })
}

// plainTags lists, by digest, the tags of an image that are no version tags.
func (s *Service) plainTags(ctx context.Context, image string, of func(digest.Digest) bool) (map[digest.Digest][]string, error) {
	tags := map[digest.Digest][]string{}
	for tag, err := range s.registry.Tags(ctx, image, "") {
		if err != nil {
			return nil, fmt.Errorf("tags of %s: %w", image, err)
		}
		if registry.IsVersionTag(tag) {
			continue
		}
		desc, err := s.registry.Tag(ctx, image, tag)
		if KindOf(err) == KindNotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("tag %s:%s: %w", image, tag, err)
		}
		if of(desc.Digest) {
			tags[desc.Digest] = append(tags[desc.Digest], tag)
		}
	}
	return tags, nil
}

// retireAll removes the tags of versions that can go, and returns those that
// went. What was promoted, leased or baked on meanwhile stays. Where one was
// baked on another it takes a second pass.
func (v *view) retireAll(ctx context.Context, list []Retired) ([]Retired, error) {
	gone := []Retired{}
	for {
		before := len(gone)
		var left []Retired
		for len(list) > 0 {
			n := 1
			for n < len(list) && n < maxRetiring && list[n].Image == list[0].Image {
				n++
			}
			went, stayed, err := v.retireSome(ctx, list[0].Image, list[:n])
			gone, left, list = append(gone, went...), append(left, stayed...), list[n:]
			if err != nil {
				return gone, err
			}
		}
		if len(left) == 0 || len(gone) == before {
			return gone, nil
		}
		list = left
	}
}

// retireSome does so for some versions of one image, and tells which are still
// needed by others.
func (v *view) retireSome(ctx context.Context, image string, list []Retired) (gone, left []Retired, err error) {
	batch := map[digest.Digest]Retired{}
	for _, r := range list {
		batch[r.Digest] = r
	}
	err = v.s.retire(ctx, image, false,
		func(ctx context.Context, st snapshot) (chosen, error) { return v.unpromoted(ctx, image, st, batch) },
		func(ctx context.Context, d digest.Digest, tags []string) error {
			err := v.s.stillFree(ctx, image, d)
			if KindOf(err) == KindDenied {
				left = append(left, batch[d])
				return nil
			}
			if err == nil {
				err = v.s.dropTags(ctx, image, tags)
			}
			if err == nil {
				gone = append(gone, batch[d])
			}
			return err
		})
	return gone, left, err
}

// unpromoted drops from a batch what the ledger has come to hold since it was
// chosen, and what somebody else is removing.
func (v *view) unpromoted(ctx context.Context, image string, st snapshot, batch map[digest.Digest]Retired) (chosen, error) {
	held := map[digest.Digest]bool{}
	err := v.imageAt(ctx, image, st, func(_ string, d digest.Digest) { held[d] = true })
	if err != nil {
		return nil, err
	}
	picked := chosen{}
	for d, r := range batch {
		if _, active := st.retiring(d, v.s.now()); !active && !held[d] {
			picked[d] = r.Tags
		}
	}
	return picked, nil
}

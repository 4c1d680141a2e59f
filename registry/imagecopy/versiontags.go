package imagecopy

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// maxVersionTags bounds the version tags that VersionTags asks about.
const maxVersionTags = 1000

var tagTime = regexp.MustCompile(`[0-9]{8}T[0-9]{6}Z`)

// VersionTags lists the version tags of image d, in byte order. A registry does
// not tell what points to a digest, so it asks for each, the newest thousand by
// the time that they say.
func VersionTags(ctx context.Context, src Source, repo string, d digest.Digest) ([]string, error) {
	var tags []string
	for tag, err := range src.Tags(ctx, repo, "") {
		if absent(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if registry.IsVersionTag(tag) {
			tags = append(tags, tag)
		}
	}
	slices.SortStableFunc(tags, func(a, b string) int { return strings.Compare(timeOf(b), timeOf(a)) })
	tags = tags[:min(len(tags), maxVersionTags)]
	var mu sync.Mutex
	var found []string
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, tag := range tags {
		g.Go(func() error {
			desc, err := src.Tag(ctx, repo, tag)
			if absent(err) {
				return nil // deleted since
			}
			if err == nil && desc.Digest == d {
				mu.Lock()
				defer mu.Unlock()
				found = append(found, tag)
			}
			return err
		})
	}
	err := g.Wait()
	slices.Sort(found)
	return found, err
}

// timeOf is the last time that a version tag names.
func timeOf(tag string) string {
	all := tagTime.FindAllString(tag, -1)
	return all[len(all)-1]
}

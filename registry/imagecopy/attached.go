package imagecopy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// suffixes are of cosign's tags: sha256-HEX.sig.
var suffixes = []string{".sig", ".att", ".sbom"}

// attachments are what was found attached to manifests.
type attachments struct {
	mu      sync.Mutex
	digests map[digest.Digest]bool
	tags    map[string]digest.Digest // cosign's
}

func (a *attachments) add(d digest.Digest, tag string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.digests[d] = true
	if tag != "" {
		a.tags[tag] = d
	}
}

func (a *attachments) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.digests)
}

// copyAttached copies what is attached to the image and its children, and what
// is attached to that. At the end it looks at everything once more, until there
// is nothing new: a signature that comes while its image is copied comes along.
func (c *copier) copyAttached(ctx context.Context, image *tree) error {
	a := &attachments{digests: map[digest.Digest]bool{}, tags: map[string]digest.Digest{}}
	listed := map[digest.Digest]bool{}
	for {
		todo := c.unlisted(listed)
		again := len(todo) == 0
		if again {
			todo = c.unlisted(nil)
		}
		if err := c.listAll(ctx, todo, a, func(d digest.Digest) bool { return !again || image.nodes[d] != nil }); err != nil {
			return err
		}
		for _, d := range todo {
			listed[d] = true
		}
		fresh := c.uncopied(a)
		if len(fresh) == 0 && again {
			return c.tagAttached(ctx, a.tags)
		}
		if err := c.attach(ctx, fresh); err != nil {
			return err
		}
	}
}

// attach copies manifests that are attached to what is copied.
func (c *copier) attach(ctx context.Context, digests []digest.Digest) error {
	// A list may name what was deleted since.
	t, err := c.tree(ctx, digests, true)
	if err != nil {
		return fmt.Errorf("attached: %w", err)
	}
	if c.attachedBytes += t.size(); c.attachedBytes > c.opts.MaxAttachedBytes {
		return c.tooMuch(fmt.Sprintf("%d bytes", c.opts.MaxAttachedBytes))
	}
	if c.result.Attached += len(t.nodes); c.result.Attached > c.opts.MaxAttached {
		return c.tooMuch(fmt.Sprintf("%d manifests", c.opts.MaxAttached))
	}
	if err := c.copyTree(ctx, t); err != nil {
		return fmt.Errorf("attached: %w", err)
	}
	for _, d := range digests {
		c.copied[d] = true // or gone
	}
	return nil
}

func (c *copier) tooMuch(what string) error {
	return registry.Errorf(registry.CodeManifestInvalid, "more than %s are attached to the image", what)
}

func (c *copier) unlisted(listed map[digest.Digest]bool) []digest.Digest {
	var list []digest.Digest
	for d := range c.copied {
		if !listed[d] {
			list = append(list, d)
		}
	}
	return list
}

func (c *copier) uncopied(a *attachments) []digest.Digest {
	var list []digest.Digest
	for d := range a.digests {
		if !c.copied[d] {
			list = append(list, d)
		}
	}
	slices.Sort(list)
	return list
}

// listAll finds what is attached to subjects: by referrers, and, of those that
// byTag says, by cosign's tags.
func (c *copier) listAll(ctx context.Context, subjects []digest.Digest, a *attachments, byTag func(digest.Digest) bool) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for _, d := range subjects {
		g.Go(func() error { return c.listReferrers(ctx, d, a) })
		if byTag(d) {
			g.Go(func() error { return c.listTags(ctx, d, a) })
		}
	}
	return g.Wait()
}

func (c *copier) listReferrers(ctx context.Context, subject digest.Digest, a *attachments) error {
	for desc, err := range c.src.Referrers(ctx, c.from, subject, "") {
		if absent(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("referrers of %s: %w", subject, err)
		}
		if a.add(desc.Digest, ""); a.count() > c.opts.MaxAttached {
			return c.tooMuch(fmt.Sprintf("%d manifests", c.opts.MaxAttached))
		}
	}
	return nil
}

func (c *copier) listTags(ctx context.Context, subject digest.Digest, a *attachments) error {
	for _, suffix := range suffixes {
		tag := strings.Replace(subject.String(), ":", "-", 1) + suffix
		if registry.CheckTag(tag) != nil {
			return nil // of sha512, too long for a tag
		}
		desc, err := c.src.Tag(ctx, c.from, tag)
		if absent(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("tag %s: %w", tag, err)
		}
		a.add(desc.Digest, tag)
	}
	return nil
}

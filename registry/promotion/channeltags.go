package promotion

import (
	"context"
	"iter"
	"slices"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Channels shows the channels of s as tags of reg, the registry that s works
// on: every client can follow them, none can move or delete them. A channel
// that holds a revoked version answers CodeManifestUnknown with the reason.
// What a channel, the kept part of its history, a lease or a version that was
// baked on it needs cannot be deleted, nor can its evidence and the ledger's
// records. All version tags must be deleted through here: see retire.
func Channels(reg registry.Registry, s *Service) registry.Registry {
	return &channelTags{Registry: reg, service: s}
}

type channelTags struct {
	registry.Registry
	service *Service
}

// Tag follows a channel, or a tag.
func (c *channelTags) Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	if !c.reserved(tag) {
		return c.Registry.Tag(ctx, repo, tag)
	}
	if err := registry.CheckName(repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	_, held, _, err := c.service.held(ctx, repo, tag)
	if KindOf(err) == KindNotFound || KindOf(err) == KindRevoked {
		return ocispec.Descriptor{}, registry.Errorf(registry.CodeManifestUnknown, "%w", err)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, _, err := c.Registry.Manifest(ctx, repo, held.Digest)
	return desc, err
}

// ManifestByTag implements registry.TagFollower.
func (c *channelTags) ManifestByTag(ctx context.Context, repo, tag string) (ocispec.Descriptor, []byte, error) {
	if c.reserved(tag) {
		return registry.ManifestByTag(ctx, struct{ registry.Reader }{c}, repo, tag)
	}
	return registry.ManifestByTag(ctx, c.Registry, repo, tag)
}

// PushManifest refuses channels among the tags.
func (c *channelTags) PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	for _, tag := range m.Tags {
		if c.reserved(tag) {
			d := m.Digest
			if d == "" {
				d = digest.FromBytes(m.Content)
			}
			return ocispec.Descriptor{}, registry.Errorf(registry.CodeDenied,
				"%s is a channel, moved only by a promotion: kiln promote %s@%s --to %s", tag, repo, d, tag)
		}
	}
	return c.Registry.PushManifest(ctx, repo, m)
}

// DeleteTag refuses channels.
func (c *channelTags) DeleteTag(ctx context.Context, repo, tag string) error {
	if c.reserved(tag) {
		return registry.Errorf(registry.CodeDenied,
			"%s is a channel and stays; kiln promote %s@DIGEST --to %s or kiln rollback %s --channel %s moves it", tag, repo, tag, repo, tag)
	}
	if registry.CheckName(repo) != nil || registry.CheckTag(tag) != nil {
		return c.Registry.DeleteTag(ctx, repo, tag) // which says what is wrong with it
	}
	if registry.IsVersionTag(tag) {
		return onWire(c.service.deleteVersionTag(ctx, repo, tag))
	}
	if d, ok := namesake(tag); ok {
		st, err := c.service.state(ctx, repo)
		if err != nil {
			return err
		}
		if err := c.service.kept(ctx, repo, d, st); err != nil {
			return onWire(err)
		}
	}
	return c.Registry.DeleteTag(ctx, repo, tag)
}

// DeleteManifest refuses what something needs, its evidence, and records that
// count.
func (c *channelTags) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if registry.CheckName(repo) != nil || registry.CheckDigest(d) != nil {
		return c.Registry.DeleteManifest(ctx, repo, d)
	}
	return onWire(c.service.deleteManifest(ctx, repo, d))
}

// Tags merges the channels that hold something into the tags, in byte order.
func (c *channelTags) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		pending, err := c.held(ctx, repo, after)
		if err != nil {
			yield("", err)
			return
		}
		for tag, err := range c.Registry.Tags(ctx, repo, after) {
			if err != nil {
				yield("", err)
				return
			}
			for len(pending) > 0 && pending[0] <= tag {
				if pending[0] != tag && !yield(pending[0], nil) {
					return
				}
				pending = pending[1:]
			}
			if !yield(tag, nil) {
				return
			}
		}
		for _, name := range pending {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// held lists the channels behind after that hold something, in byte order. Of
// a malformed name it lists none: the registry says what is wrong with it.
func (c *channelTags) held(ctx context.Context, repo, after string) ([]string, error) {
	if registry.CheckName(repo) != nil {
		return nil, nil
	}
	st, err := c.service.state(ctx, repo)
	if err != nil {
		return nil, err
	}
	var names []string
	for name := range st.Channels {
		if name > after && c.reserved(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// reserved says whether a tag is a channel, empty ones included.
func (c *channelTags) reserved(tag string) bool { return slices.Contains(c.service.channels, tag) }

package promotion

import (
	"context"
	"encoding/json"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// kept refuses to remove what a rollback or an auditor may need: a version that
// was ever in a channel, by digest or by tag, and its evidence.
func (c *channelTags) kept(ctx context.Context, repo string, d digest.Digest) error {
	st, err := c.service.state(ctx, repo)
	if err != nil {
		return err
	}
	for _, channel := range c.service.channels {
		was, err := c.service.reached(ctx, repo, channel, d, st)
		if err != nil {
			return err
		}
		if was {
			return registry.Errorf(registry.CodeDenied, "%s@%s was promoted to %s: it and its evidence stay, for rollbacks and for the ledger", repo, d, channel)
		}
	}
	return nil
}

// keptTag refuses to remove version tags of such a version, and cosign's tags
// for it.
func (c *channelTags) keptTag(ctx context.Context, repo, tag string) error {
	if registry.CheckName(repo) != nil || registry.CheckTag(tag) != nil {
		return nil // the registry says what is wrong with it
	}
	if registry.IsVersionTag(tag) {
		desc, err := c.Registry.Tag(ctx, repo, tag)
		if err != nil {
			return nil
		}
		return c.kept(ctx, repo, desc.Digest)
	}
	if alg, rest, ok := strings.Cut(tag, "-"); ok {
		hex, _, _ := strings.Cut(rest, ".")
		if d := digest.Digest(alg + ":" + hex); registry.CheckDigest(d) == nil {
			return c.kept(ctx, repo, d)
		}
	}
	return nil
}

// keptManifest does so for a manifest and for what has such a one as subject.
func (c *channelTags) keptManifest(ctx context.Context, repo string, d digest.Digest) error {
	if err := c.kept(ctx, repo, d); err != nil {
		return err
	}
	_, content, err := c.Registry.Manifest(ctx, repo, d)
	if err != nil {
		return nil
	}
	var m struct {
		Subject *struct {
			Digest digest.Digest `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(content, &m) != nil || m.Subject == nil || registry.CheckDigest(m.Subject.Digest) != nil {
		return nil
	}
	return c.kept(ctx, repo, m.Subject.Digest)
}

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry"
	"kiln/registry/promotion"
)

func (a *app) deleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "delete IMAGE@DIGEST|IMAGE:TAG",
		Short: "Remove a version, unless something needs it",
		Long: "delete removes a version with its tags, signatures and attestations. Its version tags are never used\n" +
			"again. It refuses (exit 3) what a channel holds or held, what is leased, and what others were baked on.\n\n" +
			"Where other tags name the same digest, IMAGE:TAG removes only that tag; a version tag, which is the\n" +
			"version's name for good, it then refuses: IMAGE@DIGEST removes the version with all its tags.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.delete(cmd.Context(), args[0]) },
	}
}

func (a *app) delete(ctx context.Context, ref string) error {
	named, err := storeRef(ref)
	if err != nil {
		return err
	}
	b, err := a.open(ctx, purpose{})
	if err != nil {
		return err
	}
	defer b.Close()
	d, err := a.fix(ctx, b.registry, named)
	if err != nil {
		return err
	}
	if named.Digest == "" {
		others, err := siblings(ctx, b, named, d)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return a.untag(ctx, b, named, d, others)
		}
	}
	out, err := b.ops.Delete(ctx, promotion.DeleteRequest{Image: named.Name, Digest: d})
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(out)
	}
	_, err = fmt.Fprintf(a.out, "%s@%s deleted, with %d attached (tags: %s)\n", out.Image, out.Digest, len(out.Attached), strings.Join(out.Tags, " "))
	if err == nil {
		a.say("kiln gc wins back its bytes, once they are older than its grace")
	}
	return err
}

// siblings lists the other tags of a digest; channels are none.
func siblings(ctx context.Context, b *backend, named registry.Reference, d digest.Digest) ([]string, error) {
	channels, err := b.ops.Channels(ctx, promotion.ChannelsRequest{Image: named.Name})
	if err != nil {
		return nil, err
	}
	own := func(tag string) bool {
		return tag == named.Tag || slices.ContainsFunc(channels.Channels, func(c promotion.Channel) bool { return c.Channel == tag })
	}
	versions, err := b.ops.Versions(ctx, promotion.VersionsRequest{Image: named.Name, Digest: d})
	if err != nil {
		return nil, err
	}
	var others []string
	for _, v := range versions.Versions {
		others = append(others, v.Tags...)
	}
	for tag, err := range b.registry.Tags(ctx, named.Name, "") {
		if err != nil {
			return nil, err
		}
		if registry.IsVersionTag(tag) || own(tag) {
			continue
		}
		desc, err := b.registry.Tag(ctx, named.Name, tag)
		if err != nil && registry.ErrorCode(err) != registry.CodeManifestUnknown {
			return nil, err
		}
		if err == nil && desc.Digest == d {
			others = append(others, tag)
		}
	}
	return slices.DeleteFunc(others, own), nil
}

// untag removes one of several tags of a digest, if that is a plain one; others
// are the rest.
func (a *app) untag(ctx context.Context, b *backend, named registry.Reference, d digest.Digest, others []string) error {
	if registry.IsVersionTag(named.Tag) {
		all := append([]string{named.Tag}, others...)
		return withHint(exitDenied, fmt.Errorf("%s is one of %d tags of %s: %s", named, len(all), d, strings.Join(all, " ")),
			fmt.Sprintf("kiln delete %s@%s removes the version with all of them", named.Name, d))
	}
	if err := b.registry.DeleteTag(ctx, named.Name, named.Tag); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"schema": "kiln.untag/v1", "image": named.Name, "digest": d, "tags": []string{named.Tag}, "left": others})
	}
	_, err := fmt.Fprintf(a.out, "%s removed; %s@%s stays, as %s\n", named, named.Name, d, strings.Join(others, " "))
	return err
}

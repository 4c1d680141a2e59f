package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	v, err := a.openVersion(ctx, ref, purpose{})
	if err != nil {
		return err
	}
	defer v.Close()
	if v.tag != "" {
		others, err := v.siblings(ctx)
		if err != nil {
			return err
		}
		if len(others) > 0 {
			return a.untag(ctx, v, others)
		}
	}
	out, err := v.ops.Delete(ctx, promotion.DeleteRequest{Image: v.image, Digest: v.digest})
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

// siblings lists the other tags of a version that a tag named; channels are none.
func (v *storedVersion) siblings(ctx context.Context) ([]string, error) {
	channels, err := v.ops.Channels(ctx, promotion.ChannelsRequest{Image: v.image})
	if err != nil {
		return nil, err
	}
	own := func(tag string) bool {
		return tag == v.tag || slices.ContainsFunc(channels.Channels, func(c promotion.Channel) bool { return c.Channel == tag })
	}
	versions, err := v.ops.Versions(ctx, promotion.VersionsRequest{Image: v.image, Digest: v.digest})
	if err != nil {
		return nil, err
	}
	var others []string
	for _, one := range versions.Versions {
		others = append(others, one.Tags...)
	}
	for tag, err := range v.registry.Tags(ctx, v.image, "") {
		if err != nil {
			return nil, err
		}
		if registry.IsVersionTag(tag) || own(tag) {
			continue
		}
		desc, err := v.registry.Tag(ctx, v.image, tag)
		if err != nil && registry.ErrorCode(err) != registry.CodeManifestUnknown {
			return nil, err
		}
		if err == nil && desc.Digest == v.digest {
			others = append(others, tag)
		}
	}
	return slices.DeleteFunc(others, own), nil
}

// untag removes one of several tags of a digest, if that is a plain one; others
// are the rest.
func (a *app) untag(ctx context.Context, v *storedVersion, others []string) error {
	named := v.image + ":" + v.tag
	if registry.IsVersionTag(v.tag) {
		all := append([]string{v.tag}, others...)
		return withHint(exitDenied, fmt.Errorf("%s is one of %d tags of %s: %s", named, len(all), v.digest, strings.Join(all, " ")),
			fmt.Sprintf("kiln delete %s@%s removes the version with all of them", v.image, v.digest))
	}
	if err := v.registry.DeleteTag(ctx, v.image, v.tag); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"schema": "kiln.untag/v1", "image": v.image, "digest": v.digest, "tags": []string{v.tag}, "left": others})
	}
	_, err := fmt.Fprintf(a.out, "%s removed; %s@%s stays, as %s\n", named, v.image, v.digest, strings.Join(others, " "))
	return err
}

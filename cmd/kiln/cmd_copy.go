package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry"
	"kiln/registry/imagecopy"
)

// copyOptions are the flags of kiln copy.
type copyOptions struct {
	tags []string
	bare bool
}

func (a *app) copyCommand() *cobra.Command {
	var o copyOptions
	cmd := &cobra.Command{
		Use:   "copy REF REF",
		Short: "Copy an image with all that is attached to it",
		Long: "copy copies an image between the store, any OCI registry and OCI layouts, in both directions:\n\n" +
			"  kiln copy acme/shop@sha256:… registry.example.com/acme/shop:1.4\n" +
			"  kiln copy registry.example.com/acme/shop:1.4 acme/shop\n" +
			"  kiln copy acme/shop@sha256:… oci:DIR\n\n" +
			"With it go the children of an index, signatures, attestations, SBOMs and whatever else refers to\n" +
			"it, and its version tags, which make it a version where it arrives in a store. Its tag is copied\n" +
			"unless the second REF or --tag names others. The source is looked up once and copied by digest;\n" +
			"what is there already is not sent, so a copy that broke off goes on when it is done again. Tags\n" +
			"come last. Records of the ledger are copied as evidence and enter no other ledger.\n\n" +
			"A signature names its image without the host: verify accepts it only where the image keeps its name.\n\n" +
			"Other registries are sent what docker login, crane auth login or skopeo login left for them; KILN_TOKEN\n" +
			"is for the server of --store alone.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.copyImage(cmd.Context(), args[0], args[1], o) },
	}
	cmd.Flags().StringArrayVar(&o.tags, "tag", nil, "tag to set at the destination (repeatable)")
	cmd.Flags().BoolVar(&o.bare, "bare", false, "copy the image alone, without what is attached")
	return cmd
}

// copyReport is what kiln copy --json prints.
type copyReport struct {
	Schema      string        `json:"schema"`
	Source      string        `json:"source"`
	Destination string        `json:"destination"`
	Digest      digest.Digest `json:"digest"`
	Tags        []string      `json:"tags"`
	Children    int           `json:"children"` // manifests of an index
	Attached    int           `json:"attached"` // manifests
	Blobs       int           `json:"blobs"`
	Sent        int           `json:"sent"`   // blobs
	Linked      int           `json:"linked"` // blobs
	Bytes       int64         `json:"bytes"`  // sent
}

func (a *app) copyImage(ctx context.Context, source, destination string, o copyOptions) error {
	src, err := a.copySource(ctx, source)
	if err != nil {
		return err
	}
	defer src.close()
	dst, err := a.copyDestination(ctx, destination, src)
	if err != nil {
		return err
	}
	defer dst.close()
	if dst.digest != "" && dst.digest != src.digest {
		return usagef("%s names another digest than the source has, %s", destination, src.digest)
	}
	tags, err := a.copyTags(ctx, src, dst, o)
	if err != nil {
		return err
	}
	result, err := imagecopy.Copy(ctx, src.registry, src.repo, src.digest, dst.registry, dst.repo, imagecopy.Options{
		Tags: tags, Bare: o.bare, SameRegistry: src.same == dst.same, Progress: a.copyProgress(),
	})
	if err != nil {
		return copyError(err, o)
	}
	if len(tags) == 0 && dst.isStore {
		a.say("no tag of the store names it: name one (%s:TAG or --tag), or gc removes it", dst.name)
	}
	if result.Attached > 0 && src.repo != "" && src.repo != dst.repo {
		a.say("its signatures are for %s, and verify does not accept them for %s: sign it there", src.repo, dst.repo)
	}
	return a.printCopy(copyReport{
		Schema: "kiln.copy/v1", Source: src.String(), Destination: dst.name + "@" + src.digest.String(), Digest: src.digest,
		Tags: append([]string{}, tags...), Children: result.Children, Attached: result.Attached,
		Blobs: result.Blobs, Sent: result.Sent, Linked: result.Mounted, Bytes: result.Bytes,
	})
}

// copyTags are the tags that the image gets: its version tags, and those that
// were asked for, or else that by which the source was named. A channel of a
// store is no tag to be set.
func (a *app) copyTags(ctx context.Context, src, dst *copyPlace, o copyOptions) ([]string, error) {
	tags, err := src.versionTags(ctx)
	if err != nil {
		return nil, err
	}
	wanted := o.tags
	if dst.tag != "" {
		wanted = append([]string{dst.tag}, wanted...)
	}
	if len(wanted) == 0 && src.tag != "" && dst.digest == "" {
		channel, err := eitherChannel(ctx, src, dst)
		if err != nil {
			return nil, err
		}
		if channel {
			a.say("%s is a channel of the store, which kiln promote moves: not set (--tag sets a tag)", src.tag)
		} else {
			wanted = []string{src.tag}
		}
	}
	for _, tag := range wanted {
		if err := registry.CheckTag(tag); err != nil {
			return nil, usagef("%v", err)
		}
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

// eitherChannel tells whether the tag of the source is a channel here or there.
// Another registry may be a kiln's, which takes no channel as a tag.
func eitherChannel(ctx context.Context, src, dst *copyPlace) (bool, error) {
	channel, err := dst.isChannel(ctx, src.tag)
	if err == nil && !channel && !dst.layout {
		channel, err = src.isChannel(ctx, src.tag)
	}
	return channel, err
}

// copyError adds what to do about it.
func copyError(err error, o copyOptions) error {
	if !o.bare && errors.Is(err, registry.CodeManifestInvalid) {
		return withHint(exitError, err, "--bare copies the image without what is attached")
	}
	return err
}

// copyProgress shows on a terminal how far the copy is.
func (a *app) copyProgress() func(done, known int64) {
	if a.status == nil {
		return nil
	}
	var mu sync.Mutex
	var shown time.Time
	return func(done, known int64) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(shown) < 100*time.Millisecond {
			return
		}
		shown = time.Now()
		a.working("copying: %d of %d MB", done>>20, known>>20)
	}
}

func (a *app) printCopy(r copyReport) error {
	if a.json {
		return a.printJSON(r)
	}
	a.say("copied %s with %d attached, %d of %d blobs sent (%.1f MB)", r.Source, r.Attached, r.Sent, r.Blobs, float64(r.Bytes)/1e6)
	for _, tag := range r.Tags {
		a.say("tagged %s", tag)
	}
	_, err := fmt.Fprintln(a.out, r.Destination)
	return err
}

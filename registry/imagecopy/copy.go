// Package imagecopy copies an image with everything that is attached to it from
// one registry to another: the manifest and, of an index, its children with all
// blobs; their referrers, and referrers of those; and cosign's tags of
// signatures, attestations and SBOMs (sha256-HEX.sig, .att, .sbom).
//
// What is named is copied before what names it, and the tags come last: at the
// destination the copy is whole or not to be seen. Nothing is sent that is
// there, so a copy that broke off goes on when it is done again. Manifests are
// copied byte for byte and keep their digests; blobs are held against theirs
// on the way. Layers that are to be had elsewhere (with urls) stay there.
//
// Records of a ledger are copied as evidence, like any other referrer: they
// enter no other ledger.
package imagecopy

import (
	"context"
	"fmt"
	"io"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Source is what is copied from.
type Source interface {
	registry.Reader
	registry.Lister
}

// Destination is what is copied to: the part of registry.Registry that it takes.
type Destination interface {
	registry.Reader
	PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error
	MountBlob(ctx context.Context, from, repo string, dgst digest.Digest) (ocispec.Descriptor, error)
	PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error)
}

// Options of Copy; the zero value copies an image with all that is attached.
type Options struct {
	// Tags are set at the destination, after everything else.
	Tags []string
	// Bare leaves out what is attached.
	Bare bool
	// SameRegistry tells that source and destination are one registry, which
	// then links blobs instead of reading them.
	SameRegistry bool
	// Jobs is how much is copied at once; 4 by default.
	Jobs int
	// MaxAttached and MaxAttachedBytes bound what is attached, in manifests and
	// in bytes; 1000 and 8 GiB by default.
	MaxAttached      int
	MaxAttachedBytes int64
	// Progress is told how many bytes of blobs are copied, of how many that are
	// known so far. It is called from several goroutines.
	Progress func(done, known int64)
}

// Result says what a copy did.
type Result struct {
	Root     ocispec.Descriptor // of the image
	Children int                // manifests below the image, where it is an index
	Attached int                // manifests that are attached to these
	Tags     []string           // that were set, cosign's included, in order
	Blobs    int                // that all of it has
	Sent     int                // of these, sent
	Mounted  int                // of these, linked
	Bytes    int64              // sent
}

// Copy copies the image d of src's repository from to dst's repository to.
//
// Errors are those of the two registries: CodeManifestUnknown where d is not
// there, CodeDenied for a tag that may not be set, CodeCorrupt where bytes do
// not match. What is attached beyond the bounds, indexes too deep or too large,
// and manifests that the world reads in two ways are CodeManifestInvalid.
func Copy(ctx context.Context, src Source, from string, d digest.Digest, dst Destination, to string, opts Options) (Result, error) {
	if err := registry.CheckDigest(d); err != nil {
		return Result{}, err
	}
	c := newCopier(src, from, dst, to, opts)
	image, err := c.tree(ctx, []digest.Digest{d}, false)
	if err != nil {
		return Result{}, err
	}
	if err := c.copyTree(ctx, image); err != nil {
		return Result{}, err
	}
	c.result.Root, c.result.Children = image.nodes[d].desc, len(image.nodes)-1
	if !opts.Bare {
		if err := c.copyAttached(ctx, image); err != nil {
			return c.result, err
		}
	}
	return c.result, c.tagImage(ctx, c.result.Root)
}

// tagImage sets the tags of the image itself, which is what shows the copy.
func (c *copier) tagImage(ctx context.Context, root ocispec.Descriptor) error {
	if len(c.opts.Tags) == 0 {
		return nil
	}
	_, content, err := c.src.Manifest(ctx, c.from, root.Digest)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", root.Digest, err)
	}
	err = c.patiently(ctx, func() error {
		_, err := c.dst.PushManifest(ctx, c.to, registry.Manifest{MediaType: root.MediaType, Content: content, Digest: root.Digest, Tags: c.opts.Tags})
		return err
	})
	if err != nil {
		return fmt.Errorf("tag %s: %w", root.Digest, err)
	}
	c.result.Tags = append(c.result.Tags, c.opts.Tags...)
	return nil
}

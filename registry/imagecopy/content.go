package imagecopy

import (
	"context"
	"errors"
	"fmt"
	"io"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// copyTree copies blobs, then manifests, children first.
func (c *copier) copyTree(ctx context.Context, t *tree) error {
	if !c.inPlace() {
		if err := c.copyBlobs(ctx, t); err != nil {
			return err
		}
		for _, wave := range t.waves() {
			if err := c.copyManifests(ctx, wave); err != nil {
				return err
			}
		}
	}
	for d := range t.nodes {
		c.copied[d] = true
	}
	return nil
}

// copyManifests copies manifests that do not name each other. Referrers go one
// after another: a registry without the referrers API keeps them in one list.
func (c *copier) copyManifests(ctx context.Context, wave []*node) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for _, n := range wave {
		if n.parts.Subject == "" {
			g.Go(func() error { return c.copyManifest(gctx, n) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, n := range wave {
		if n.parts.Subject != "" {
			if err := c.copyManifest(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *copier) copyManifest(ctx context.Context, n *node) error {
	content := n.content
	if content == nil {
		var err error
		if _, content, err = c.src.Manifest(ctx, c.from, n.desc.Digest); err != nil {
			return fmt.Errorf("manifest %s: %w", n.desc.Digest, err)
		}
	}
	err := c.patiently(ctx, func() error {
		_, err := c.dst.PushManifest(ctx, c.to, registry.Manifest{MediaType: n.desc.MediaType, Content: content, Digest: n.desc.Digest})
		return err
	})
	if err != nil {
		return fmt.Errorf("push manifest %s: %w", n.desc.Digest, err)
	}
	return nil
}

// copyBlobs copies what the tree has and no earlier one had.
func (c *copier) copyBlobs(ctx context.Context, t *tree) error {
	var list []ocispec.Descriptor
	for _, n := range t.nodes {
		for _, b := range n.parts.Blobs {
			if !c.blobs[b.Digest] && !registry.IsForeign(b) {
				c.blobs[b.Digest] = true
				c.known += b.Size
				list = append(list, b)
			}
		}
	}
	c.result.Blobs += len(list)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.opts.Jobs)
	for _, b := range list {
		g.Go(func() error {
			if err := c.copyBlob(ctx, b); err != nil {
				return fmt.Errorf("blob %s: %w", b.Digest, err)
			}
			return nil
		})
	}
	return g.Wait()
}

func (c *copier) copyBlob(ctx context.Context, b ocispec.Descriptor) error {
	mounted, err := c.mount(ctx, b.Digest)
	if err != nil {
		return err
	}
	if mounted {
		c.moved(b.Size)
		return nil
	}
	r := &blobSource{
		open:  func(offset int64) (io.ReadCloser, error) { return c.src.OpenBlob(ctx, c.from, b.Digest, offset, -1) },
		moved: c.moved,
	}
	defer r.Close()
	err = c.patiently(ctx, func() error {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return c.dst.PushBlob(ctx, c.to, ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}, r)
	})
	if err != nil {
		return err
	}
	if !r.used {
		c.moved(b.Size) // it was there
		return nil
	}
	c.locked(func() {
		c.result.Sent++
		c.result.Bytes += b.Size
	})
	return nil
}

// mount links a blob within one registry; where that is refused, it is read
// and sent.
func (c *copier) mount(ctx context.Context, d digest.Digest) (bool, error) {
	if !c.opts.SameRegistry {
		return false, nil
	}
	_, err := c.dst.MountBlob(ctx, c.from, c.to, d)
	switch registry.ErrorCode(err) {
	case registry.CodeBlobUnknown, registry.CodeNameUnknown, registry.CodeDenied, registry.CodeUnauthorized,
		registry.CodeUnsupported, registry.CodeTooManyRequests:
		return false, nil
	}
	if err == nil {
		c.locked(func() { c.result.Mounted++ })
	}
	return err == nil, err
}

// blobSource reads a blob from the source when, and if, it is read; it can
// start again, so that an upload that broke off is tried again.
type blobSource struct {
	open  func(offset int64) (io.ReadCloser, error)
	moved func(int64)
	rc    io.ReadCloser
	at    int64
	most  int64 // read so far at best
	used  bool
}

func (b *blobSource) Read(p []byte) (int, error) {
	if b.rc == nil {
		rc, err := b.open(b.at)
		if err != nil {
			return 0, err
		}
		b.rc, b.used = rc, true
	}
	n, err := b.rc.Read(p)
	b.at += int64(n)
	if b.at > b.most {
		b.moved(b.at - b.most)
		b.most = b.at
	}
	return n, err
}

// Seek moves to a place counted from the start or from here.
func (b *blobSource) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekCurrent {
		offset += b.at
	}
	if whence == io.SeekEnd || offset < 0 {
		return 0, errors.New("a blob under way cannot seek there")
	}
	if offset == b.at {
		return offset, nil
	}
	b.at = offset
	return offset, b.Close()
}

// Close lets go of the connection.
func (b *blobSource) Close() error {
	rc := b.rc
	if b.rc = nil; rc == nil {
		return nil
	}
	return rc.Close()
}

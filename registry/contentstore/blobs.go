package contentstore

import (
	"context"
	"errors"
	"io"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PushBlob implements registry.Writer. A blob that repo has is not read; one
// that only another image has is read and verified, but not written.
func (r *Registry) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, body io.Reader) error {
	if err := checkBlob(repo, desc.Digest); err != nil {
		return err
	}
	switch have, err := r.statBlob(ctx, repo, desc.Digest); {
	case err == nil && desc.Size >= 0 && have.Size != desc.Size:
		return registry.Errorf(registry.CodeSizeInvalid, "blob %s has %d bytes, not the %d announced", desc.Digest, have.Size, desc.Size)
	case err == nil:
		if err := r.rescue(ctx, repo, desc.Digest); err != nil {
			return err
		}
		if _, err = r.statBlob(ctx, repo, desc.Digest); !errors.Is(err, registry.CodeBlobUnknown) {
			return err
		} // it was collected meanwhile
	case !errors.Is(err, registry.CodeBlobUnknown):
		return err
	}
	return r.addBlob(ctx, repo, desc.Digest, desc.Size, body)
}

// addBlob stores bytes that it verifies, then links them.
func (r *Registry) addBlob(ctx context.Context, repo string, d digest.Digest, size int64, body io.Reader) error {
	v := newVerifier(body, d, size, registry.CodeDigestInvalid)
	group, settle := store.Group(r.store)
	if err := coded(group.Put(ctx, store.BlobKey(d), v)); err != nil {
		return pushError(err, v)
	}
	if err := v.drain(); err != nil {
		return err
	}
	if err := errors.Join(group.Put(ctx, store.BlobLinkKey(repo, d), strings.NewReader("")), settle(ctx)); err != nil {
		return coded(err)
	}
	return r.keepLinked(ctx, repo, d)
}

// pushError prefers what the bytes were found to be to how the store put it.
func pushError(err error, v *verifier) error {
	if v.err != nil && registry.ErrorCode(v.err) != "" && errors.Is(err, v.err) {
		return v.err
	}
	return err
}

func (r *Registry) linkBlob(ctx context.Context, repo string, d digest.Digest) error {
	return r.put(ctx, store.BlobLinkKey(repo, d), strings.NewReader(""))
}

// MountBlob implements registry.Writer.
func (r *Registry) MountBlob(ctx context.Context, from, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := r.StatBlob(ctx, from, d)
	if err != nil || from == repo {
		return desc, err
	}
	if err = r.addLink(ctx, repo, d); errors.Is(err, registry.CodeTooManyRequests) {
		err = noBlob(store.ErrNotFound, from, d) // collected meanwhile: let it be pushed
	}
	return desc, err
}

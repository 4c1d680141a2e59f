// Package registry defines what kiln means by a registry: repositories
// ("images") that hold blobs, manifests, tags and referrers, addressed by
// digest. It follows the OCI distribution spec 1.1 and knows no storage and no
// transport: contentstore implements it over a store, ociclient over HTTP,
// promotion wraps it, ociserver serves it.
//
// Every implementation passes the suite in registrytest.
package registry

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Registry is the whole of it; take the smallest part that you need.
type Registry interface {
	Reader
	Writer
	Deleter
	Lister
}

// Reader reads content by digest and follows tags.
//
// Errors: CodeNameInvalid, CodeDigestInvalid for malformed arguments;
// CodeNameUnknown, CodeBlobUnknown, CodeManifestUnknown for what is absent.
type Reader interface {
	// StatBlob says size and digest of a blob that repo links.
	StatBlob(ctx context.Context, repo string, dgst digest.Digest) (ocispec.Descriptor, error)
	// OpenBlob reads length bytes of a blob from offset; a negative length
	// reads to the end. CodeRangeInvalid if offset lies behind the end.
	OpenBlob(ctx context.Context, repo string, dgst digest.Digest, offset, length int64) (io.ReadCloser, error)
	// Manifest returns the exact bytes that were pushed, checked against dgst.
	Manifest(ctx context.Context, repo string, dgst digest.Digest) (ocispec.Descriptor, []byte, error)
	// Tag returns the descriptor that a tag points to now.
	Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error)
}

// CheckedBlob is what OpenBlob may return: its bytes were checked against the
// digest before, so whoever sends them need not hold back the last ones until
// all are read, and may leave the sending to the kernel.
type CheckedBlob interface {
	io.ReadCloser
	// WriteTo writes what is left, by w's ReadFrom where it has one.
	io.WriterTo
	Checked()
}

// Writer adds content. What a nil error acknowledges is durable.
type Writer interface {
	// PushBlob stores a blob of a known digest; desc.Size may be -1. The same
	// blob again is fine. CodeDigestInvalid or CodeSizeInvalid if the bytes
	// are not those described; then nothing is stored.
	PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error
	// MountBlob links a blob of another repository. CodeBlobUnknown if from
	// does not link it.
	MountBlob(ctx context.Context, from, repo string, dgst digest.Digest) (ocispec.Descriptor, error)
	// StartUpload begins a chunked upload in repo.
	StartUpload(ctx context.Context, repo string) (Upload, error)
	// ResumeUpload continues one, also after a restart and on another
	// replica. CodeUploadUnknown if it is not an upload of this repo.
	ResumeUpload(ctx context.Context, repo, id string) (Upload, error)
	// PushManifest stores a manifest under the digest of its bytes (sha256,
	// or dgst's algorithm where dgst is given) and moves tags to it, in order.
	// CodeManifestInvalid, CodeManifestBlobUnknown for what it names but repo
	// lacks (subjects may be missing), CodeDenied for a tag that may not move.
	PushManifest(ctx context.Context, repo string, m Manifest) (ocispec.Descriptor, error)
}

// Manifest is what PushManifest takes.
type Manifest struct {
	MediaType string
	Content   []byte        // at most MaxManifestSize bytes
	Digest    digest.Digest // optional; checked where given
	Tags      []string      // optional
}

// MaxManifestSize bounds a manifest, in bytes.
const MaxManifestSize = 4 << 20

// Upload is a blob under way. It is not safe for concurrent use.
type Upload interface {
	ID() string
	// Size is the number of bytes received so far.
	Size() int64
	// Append adds a chunk that must start at offset; CodeRangeInvalid
	// otherwise, with nothing added.
	Append(ctx context.Context, offset int64, r io.Reader) error
	// Commit makes the bytes a blob of the repository if their digest is dgst.
	Commit(ctx context.Context, dgst digest.Digest) (ocispec.Descriptor, error)
	// Cancel forgets the upload.
	Cancel(ctx context.Context) error
}

// Deleter removes links; the bytes go with collection.
type Deleter interface {
	DeleteBlob(ctx context.Context, repo string, dgst digest.Digest) error
	DeleteManifest(ctx context.Context, repo string, dgst digest.Digest) error
	DeleteTag(ctx context.Context, repo, tag string) error
}

// Lister enumerates in byte order, starting behind after ("" for all).
// A sequence ends after its first error.
type Lister interface {
	Repositories(ctx context.Context, after string) iter.Seq2[string, error]
	Tags(ctx context.Context, repo, after string) iter.Seq2[string, error]
	// Referrers lists the manifests whose subject is dgst, with artifactType
	// and annotations filled in; artifactType "" lists all. An unknown subject
	// has none.
	Referrers(ctx context.Context, repo string, dgst digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error]
}

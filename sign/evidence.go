package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"iter"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Reader is what verification needs of a registry. Blobs and manifests that
// do not exist, and tags, are reported by an error that matches
// fs.ErrNotExist; any other error makes a verification fail. Nothing it
// returns is trusted: content is hashed again.
type Reader interface {
	// OpenBlob reads length bytes of a blob from offset, to its end if length
	// is negative.
	OpenBlob(ctx context.Context, repo string, dgst digest.Digest, offset, length int64) (io.ReadCloser, error)
	// Manifest returns the bytes of a manifest.
	Manifest(ctx context.Context, repo string, dgst digest.Digest) (ocispec.Descriptor, []byte, error)
	// Tag returns what a tag points to now.
	Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error)
	// Referrers lists the manifests whose subject is dgst, with artifactType
	// and annotations; the filter by artifactType may be ignored.
	Referrers(ctx context.Context, repo string, dgst digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error]
}

// Evidence is what signing needs: a Reader that can be written.
type Evidence interface {
	Reader
	// PushBlob stores a blob; the same again is fine.
	PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error
	// PushEvidence stores a manifest and then, unless tag is "", moves tag to
	// it. A manifest with a subject must be among its Referrers before the
	// tag has moved.
	PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error)
}

// Bounds on what strangers can make a verifier read.
const (
	maxCandidates     = 100      // signatures under the tag; bundles of one predicate type
	maxReferrers      = 10_000   // entries of one listing
	maxManifest       = 1 << 20  // bytes of a manifest of evidence
	maxPayload        = 64 << 10 // bytes of a simple signing payload, or of a signature's bundle
	maxBundle         = 32 << 20 // bytes of an attestation's bundle
	maxEnvelope       = 1 << 20  // bytes of a record's or channel statement's envelope
	maxKeyFile        = 64 << 10 // bytes of a PEM file
	maxSignatureBytes = 2 << 10  // bytes of one signature
	maxEnvelopeSigs   = 10       // signatures of one envelope
	maxMergeAttempts  = 20       // tries to add a signature under the tag
)

// readManifest reads and hashes an image manifest of evidence.
func readManifest(ctx context.Context, r Reader, image string, d digest.Digest) (*ocispec.Manifest, error) {
	if err := d.Validate(); err != nil {
		return nil, invalid("manifest %q: %v", d, err)
	}
	_, content, err := r.Manifest(ctx, image, d)
	if err != nil {
		return nil, err
	}
	if len(content) > maxManifest {
		return nil, invalid("manifest %s: %d bytes, at most %d are read", d, len(content), maxManifest)
	}
	if got := d.Algorithm().FromBytes(content); got != d {
		return nil, invalid("manifest %s: its bytes have the digest %s", d, got)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, invalid("manifest %s: %v", d, err)
	}
	if m.MediaType != ocispec.MediaTypeImageManifest {
		return nil, invalid("manifest %s: media type %q is not %s", d, m.MediaType, ocispec.MediaTypeImageManifest)
	}
	return &m, nil
}

// readBlob reads and hashes a blob of at most limit bytes.
func readBlob(ctx context.Context, r Reader, image string, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, invalid("blob %q: %v", desc.Digest, err)
	}
	if desc.Size < 0 || desc.Size > limit {
		return nil, invalid("blob %s: %d bytes, at most %d are read", desc.Digest, desc.Size, limit)
	}
	body, err := r.OpenBlob(ctx, image, desc.Digest, 0, -1)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	content, err := io.ReadAll(io.LimitReader(body, desc.Size+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) != desc.Size {
		return nil, invalid("blob %s: not of %d bytes", desc.Digest, desc.Size)
	}
	if got := desc.Digest.Algorithm().FromBytes(content); got != desc.Digest {
		return nil, invalid("blob %s: its bytes have the digest %s", desc.Digest, got)
	}
	return content, nil
}

// pushBlob stores content and describes it.
func pushBlob(ctx context.Context, ev Evidence, image, mediaType string, content []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	return desc, ev.PushBlob(ctx, image, desc, bytes.NewReader(content))
}

// checkSubject checks what the caller wants to sign or to verify.
func checkSubject(image string, d digest.Digest) error {
	if image == "" {
		return errors.New("image name required")
	}
	if err := d.Validate(); err != nil {
		return invalid("image %s: digest %q: %v", image, d, err)
	}
	return nil
}

// absent says whether err means that something does not exist.
func absent(err error) bool { return errors.Is(err, fs.ErrNotExist) }

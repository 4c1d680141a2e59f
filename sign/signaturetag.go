package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// readSignatureTag reads the manifest under an image's signature tag; nil if
// there is none.
func readSignatureTag(ctx context.Context, r Reader, image string, d digest.Digest) (*ocispec.Manifest, digest.Digest, error) {
	desc, err := r.Tag(ctx, image, signatureTag(d))
	if absent(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("tag %s of %s: %w", signatureTag(d), image, err)
	}
	m, err := readManifest(ctx, r, image, desc.Digest)
	if err != nil {
		return nil, "", err
	}
	return m, desc.Digest, checkCount(m)
}

func checkCount(m *ocispec.Manifest) error {
	if len(m.Layers) > maxCandidates {
		return invalid("%d signatures, at most %d are read", len(m.Layers), maxCandidates)
	}
	return nil
}

// tagSignature verifies one layer of the signature manifest.
func (v *Verifier) tagSignature(ctx context.Context, r Reader, image string, d, manifest digest.Digest, layer ocispec.Descriptor) (Signed, error) {
	if layer.MediaType != simpleSigningMediaType {
		return Signed{}, invalid("signature of media type %q, not %s", layer.MediaType, simpleSigningMediaType)
	}
	encoded := layer.Annotations[signatureAnnotation]
	sig, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return Signed{}, invalid("signature annotation: %v", err)
	}
	content, err := readBlob(ctx, r, image, layer, maxPayload)
	if err != nil {
		return Signed{}, fmt.Errorf("signature payload: %w", err)
	}
	at := v.admittedAt(manifest)
	keyID, err := v.verify(sig, content, at)
	if err != nil {
		return Signed{}, err
	}
	return Signed{KeyID: keyID, SignedAt: at}, checkPayload(content, image, d)
}

// signTag adds a signature under the tag, beside those that are there. Every
// signature manifest is a referrer of the image as well; whoever moves the tag
// looks at all of them afterwards and puts back what another signer, writing
// at the same time, had added.
func (s *Signer) signTag(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor) error {
	var own *ocispec.Descriptor
	for range maxMergeAttempts {
		current, layers, err := allSignatures(ctx, ev, image, subject.Digest)
		if err != nil {
			return err
		}
		if own == nil {
			if own, err = s.ownSignature(ctx, ev, image, subject.Digest, layers); err != nil {
				return err
			}
		}
		layers = union(layers, []ocispec.Descriptor{*own})
		if len(layers) > maxCandidates {
			return fmt.Errorf("%s@%s has %d signatures, no more are read", image, subject.Digest, maxCandidates)
		}
		if current != nil && len(union(current.Layers, layers)) == len(current.Layers) {
			return nil
		}
		if err := pushSignatures(ctx, ev, image, subject, current, layers); err != nil {
			return err
		}
	}
	return fmt.Errorf("tag %s of %s keeps changing; sign again", signatureTag(subject.Digest), image)
}

// allSignatures returns the manifest under the tag, nil if none, and its
// signatures with those of all other signature manifests of the image.
func allSignatures(ctx context.Context, r Reader, image string, d digest.Digest) (*ocispec.Manifest, []ocispec.Descriptor, error) {
	current, currentDigest, err := readSignatureTag(ctx, r, image, d)
	if err != nil && !absent(err) {
		return nil, nil, err
	}
	var layers []ocispec.Descriptor
	if current != nil {
		layers = union(nil, current.Layers)
	}
	others, err := referrers(ctx, r, image, d, sigArtifactType, "")
	if err != nil {
		return nil, nil, err
	}
	for _, other := range others {
		if other.Digest == currentDigest {
			continue
		}
		m, err := readManifest(ctx, r, image, other.Digest)
		switch {
		case err == nil && m.Subject != nil && m.Subject.Digest == d:
			layers = union(layers, m.Layers)
		case err != nil && !errors.Is(err, ErrInvalid) && !absent(err):
			return nil, nil, err
		}
	}
	return current, layers, nil
}

// ownSignature finds a signature by s among layers, or makes one.
func (s *Signer) ownSignature(ctx context.Context, ev Evidence, image string, d digest.Digest, layers []ocispec.Descriptor) (*ocispec.Descriptor, error) {
	for _, layer := range layers {
		if _, err := s.own.tagSignature(ctx, ev, image, d, "", layer); err == nil {
			return &layer, nil
		}
	}
	content, err := encodePayload(image, d)
	if err != nil {
		return nil, err
	}
	sig, err := s.sign(ctx, content)
	if err != nil {
		return nil, err
	}
	desc, err := pushBlob(ctx, ev, image, simpleSigningMediaType, content)
	if err != nil {
		return nil, err
	}
	desc.Annotations = map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(sig)}
	return &desc, nil
}

// union appends to a those of b that it lacks: another payload or another
// signature over the same.
func union(a, b []ocispec.Descriptor) []ocispec.Descriptor {
	type key struct {
		digest digest.Digest
		sig    string
	}
	seen := map[key]bool{}
	all := make([]ocispec.Descriptor, 0, len(a)+len(b))
	for _, list := range [][]ocispec.Descriptor{a, b} {
		for _, desc := range list {
			k := key{desc.Digest, desc.Annotations[signatureAnnotation]}
			if !seen[k] {
				seen[k] = true
				all = append(all, desc)
			}
		}
	}
	return all
}

// pushSignatures stores a signature manifest and moves the tag to it.
func pushSignatures(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor, current *ocispec.Manifest, layers []ocispec.Descriptor) error {
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers"}}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
	}
	content, err := json.Marshal(config)
	if err != nil {
		return err
	}
	configDesc, err := pushBlob(ctx, ev, image, ocispec.MediaTypeImageConfig, content)
	if err != nil {
		return err
	}
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: sigArtifactType,
		Config:       configDesc,
		Layers:       layers,
		Subject:      bare(subject),
	}
	if current != nil {
		m.Annotations = current.Annotations
	}
	_, err = pushManifest(ctx, ev, image, m, signatureTag(subject.Digest))
	return err
}

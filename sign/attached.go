package sign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tagLayout is one of cosign's layouts before there were referrers: a manifest
// under a tag made of the image's digest, with a layer for each signature or
// attestation.
type tagLayout struct {
	suffix string
	// artifactType lets such a manifest be found as a referrer, so that those
	// who add at the same time see each other; cosign's OCI 1.1 mode reads it.
	artifactType string
}

func signatureLayout() tagLayout {
	return tagLayout{".sig", "application/vnd.dev.cosign.artifact.sig.v1+json"}
}

func attestationLayout() tagLayout {
	return tagLayout{".att", "application/vnd.dev.cosign.artifact.att.v1+json"}
}

// tag is the tag for an image: sha256-<hex> and the suffix.
func (l tagLayout) tag(d digest.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded() + l.suffix
}

// read reads the manifest under the tag of an image; nil if there is none.
func (l tagLayout) read(ctx context.Context, r Reader, image string, d digest.Digest) (*ocispec.Manifest, digest.Digest, error) {
	desc, err := r.Tag(ctx, image, l.tag(d))
	if absent(err) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("tag %s of %s: %w", l.tag(d), image, err)
	}
	m, err := readManifest(ctx, r, image, desc.Digest)
	if err != nil {
		return nil, "", err
	}
	if n := len(m.Layers); n > maxCandidates {
		return nil, "", invalid("tag %s of %s: %d layers, at most %d are read", l.tag(d), image, n, maxCandidates)
	}
	return m, desc.Digest, nil
}

// add puts a layer under the tag, beside those that are there. own finds it
// among them or makes it; it is asked once. Every such manifest is a referrer
// of the image as well; whoever moves the tag looks at all of them afterwards
// and puts back what another, writing at the same time, had added.
func (l tagLayout) add(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor, own func(present []ocispec.Descriptor) (ocispec.Descriptor, error)) error {
	var mine []ocispec.Descriptor
	for range maxMergeAttempts {
		current, layers, err := l.all(ctx, ev, image, subject.Digest)
		if err != nil {
			return err
		}
		if mine == nil {
			layer, err := own(layers)
			if err != nil {
				return err
			}
			mine = []ocispec.Descriptor{layer}
		}
		layers = union(layers, mine)
		if len(layers) > maxCandidates {
			return fmt.Errorf("tag %s of %s has %d layers, no more are read", l.tag(subject.Digest), image, maxCandidates)
		}
		if current != nil && len(union(current.Layers, layers)) == len(current.Layers) {
			return nil
		}
		if err := l.push(ctx, ev, image, subject, current, layers); err != nil {
			return err
		}
	}
	return fmt.Errorf("tag %s of %s keeps changing; try again", l.tag(subject.Digest), image)
}

// all returns the manifest under the tag, nil if none, and its layers with
// those of all other such manifests of the image.
func (l tagLayout) all(ctx context.Context, r Reader, image string, d digest.Digest) (*ocispec.Manifest, []ocispec.Descriptor, error) {
	current, currentDigest, err := l.read(ctx, r, image, d)
	if err != nil && !absent(err) {
		return nil, nil, err
	}
	var layers []ocispec.Descriptor
	if current != nil {
		layers = union(nil, current.Layers)
	}
	others, err := referrers(ctx, r, image, d, l.artifactType, "")
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

// push stores a manifest of layers and moves the tag to it.
func (l tagLayout) push(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor, current *ocispec.Manifest, layers []ocispec.Descriptor) error {
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
		ArtifactType: l.artifactType,
		Config:       configDesc,
		Layers:       layers,
		Subject:      bare(subject),
	}
	if current != nil {
		m.Annotations = current.Annotations
	}
	_, err = pushManifest(ctx, ev, image, m, l.tag(subject.Digest))
	return err
}

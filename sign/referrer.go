package sign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Annotations of a referrer that holds a bundle, as cosign writes them.
const (
	contentAnnotation   = "dev.sigstore.bundle.content"
	predicateAnnotation = "dev.sigstore.bundle.predicateType"
)

// referrers lists the referrers of artifactType. With a predicateType those
// annotated with another one are left out; the annotation proves nothing, so
// those without one stay in. More than maxCandidates are an error.
func referrers(ctx context.Context, r Reader, image string, d digest.Digest, artifactType, predicateType string) ([]ocispec.Descriptor, error) {
	var found []ocispec.Descriptor
	listed := 0
	for desc, err := range r.Referrers(ctx, image, d, artifactType) {
		if absent(err) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("referrers of %s@%s: %w", image, d, err)
		}
		if listed++; listed > maxReferrers {
			return nil, invalid("%s@%s: more than %d referrers", image, d, maxReferrers)
		}
		if desc.ArtifactType != artifactType {
			continue
		}
		if said := desc.Annotations[predicateAnnotation]; predicateType != "" && said != "" && said != predicateType {
			continue
		}
		if found = append(found, desc); len(found) > maxCandidates {
			return nil, invalid("%s@%s: more than %d referrers of type %s %s", image, d, maxCandidates, artifactType, predicateType)
		}
	}
	return found, nil
}

// readBundle reads the one bundle of a referrer, which must refer to d.
func readBundle(ctx context.Context, r Reader, image string, d, manifest digest.Digest, limit int) ([]byte, error) {
	m, err := readManifest(ctx, r, image, manifest)
	if err != nil {
		return nil, err
	}
	if m.Subject == nil || m.Subject.Digest != d {
		return nil, invalid("referrer %s is not of %s", manifest, d)
	}
	if m.ArtifactType != BundleMediaType {
		return nil, invalid("referrer %s: artifact type %q, not %s", manifest, m.ArtifactType, BundleMediaType)
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != BundleMediaType {
		return nil, invalid("referrer %s does not hold one bundle", manifest)
	}
	content, err := readBlob(ctx, r, image, m.Layers[0], int64(limit))
	if err != nil {
		return nil, fmt.Errorf("referrer %s: %w", manifest, err)
	}
	return content, nil
}

// pushBundle stores a bundle as a referrer of subject.
func pushBundle(ctx context.Context, ev Evidence, image string, subject ocispec.Descriptor, predicateType string, bundle []byte) (ocispec.Descriptor, error) {
	config, err := pushBlob(ctx, ev, image, ocispec.MediaTypeEmptyJSON, []byte("{}"))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := pushBlob(ctx, ev, image, BundleMediaType, bundle)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return pushManifest(ctx, ev, image, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: BundleMediaType,
		Config:       config,
		Layers:       []ocispec.Descriptor{layer},
		Subject:      bare(subject),
		Annotations: map[string]string{
			ocispec.AnnotationCreated: time.Now().UTC().Format(time.RFC3339),
			contentAnnotation:         "dsse-envelope",
			predicateAnnotation:       predicateType,
		},
	}, "")
}

func pushManifest(ctx context.Context, ev Evidence, image string, m ocispec.Manifest, tag string) (ocispec.Descriptor, error) {
	content, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ev.PushEvidence(ctx, image, m.MediaType, content, tag)
}

// bare is a descriptor without anything that does not belong in a subject.
func bare(desc ocispec.Descriptor) *ocispec.Descriptor {
	return &ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

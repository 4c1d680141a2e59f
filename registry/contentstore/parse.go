package contentstore

import (
	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifest is what contentstore needs to know of one.
type manifest struct {
	mediaType    string
	artifactType string
	annotations  map[string]string
	subject      digest.Digest
	blobs        []ocispec.Descriptor // config and layers; an index's children that are no manifests
	manifests    []ocispec.Descriptor // an index's children
}

// parseManifest is registry.ParseManifest.
func parseManifest(mediaType string, content []byte) (manifest, error) {
	p, err := registry.ParseManifest(mediaType, content)
	return manifest{p.MediaType, p.ArtifactType, p.Annotations, p.Subject, p.Blobs, p.Manifests}, err
}

// foreign tells a layer that its registry need not have.
func foreign(d ocispec.Descriptor) bool { return registry.IsForeign(d) }

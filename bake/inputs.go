package bake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/template"
	"kiln/registry"
)

// InputsArtifact marks the referrer that keeps what a version was baked from.
const InputsArtifact = "application/vnd.kiln.inputs.v1+json"

// debMediaType is the registered media type of a .deb (IANA).
const debMediaType = "application/vnd.debian.binary-package"

// Lacking implements Publisher.
func (p *RegistryPublisher) Lacking(ctx context.Context, img *Image) []Input {
	var list []Input
	for _, in := range img.Inputs { // those of all platforms, if there are several
		if !p.KeepInputs || in.Path == "" {
			continue
		}
		if _, err := p.Registry.StatBlob(ctx, img.Name, in.blob()); err != nil {
			list = append(list, in)
		}
	}
	return list
}

func (in Input) blob() digest.Digest {
	return digest.NewDigestFromEncoded(digest.SHA256, in.Digest["sha256"])
}

// mediaType of a kept input.
func (in Input) mediaType() string {
	if in.Name == indexName || in.Name == fetchName {
		return "application/octet-stream"
	}
	return debMediaType
}

// keepInputs stores the .debs and indexes of an image as blobs of a referrer, so that the
// version can be baked again when the archive has moved on. What cannot be had
// any more is left out: the image does not need it.
func (p *RegistryPublisher) keepInputs(ctx context.Context, img *Image, subject ocispec.Descriptor) error {
	var kept []ocispec.Descriptor
	for _, in := range img.Inputs {
		if in.Path == "" {
			continue
		}
		desc, err := p.keep(ctx, img.Name, in)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, registry.CodeDigestInvalid) || errors.Is(err, registry.CodeSizeInvalid) {
			continue // gone, or damaged in the cache
		}
		if err != nil {
			return err
		}
		kept = append(kept, desc)
	}
	if len(kept) == 0 {
		return nil
	}
	if err := p.pushBytes(ctx, img.Name, ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data); err != nil {
		return err
	}
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: InputsArtifact, Config: ocispec.DescriptorEmptyJSON, Layers: kept, Subject: &subject,
	})
	if err != nil {
		return err
	}
	_, err = p.Registry.PushManifest(ctx, img.Name, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: content})
	return err
}

func (p *RegistryPublisher) keep(ctx context.Context, repo string, in Input) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{
		MediaType: in.mediaType(), Digest: in.blob(),
		Annotations: map[string]string{ocispec.AnnotationTitle: in.URI},
	}
	if have, err := p.Registry.StatBlob(ctx, repo, desc.Digest); err == nil {
		desc.Size = have.Size
		return desc, nil
	}
	f, err := os.Open(in.Path)
	if err != nil {
		return desc, fmt.Errorf("%s: %w", in.URI, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return desc, err
	}
	desc.Size = info.Size()
	return desc, p.Registry.PushBlob(ctx, repo, desc, f)
}

// runNetworks lists the networks that an image's run steps ask for.
func runNetworks(recipe *template.Image) []string {
	var list []string
	for _, s := range recipe.Steps {
		if run, ok := s.(*template.Run); ok {
			list = append(list, run.Network)
		}
	}
	return list
}

package bake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/debian"
	"kiln/bake/template"
	"kiln/registry"
)

// InputsArtifact marks the referrer that keeps what a version was baked from.
const InputsArtifact = "application/vnd.kiln.inputs.v1+json"

// debMediaType is the registered media type of a .deb (IANA).
const debMediaType = "application/vnd.debian.binary-package"

// keepInputs stores the .debs of an image as blobs of a referrer, so that the
// version can be baked again when the archive has moved on.
func (p *RegistryPublisher) keepInputs(ctx context.Context, img *Image, subject ocispec.Descriptor) error {
	var kept []ocispec.Descriptor
	for _, in := range img.Inputs {
		if in.Path == "" {
			continue
		}
		desc, err := p.keep(ctx, img.Name, in)
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
		MediaType: debMediaType, Digest: digest.NewDigestFromEncoded(digest.SHA256, in.Digest["sha256"]),
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

// fromStore takes .debs that the cache lacks out of the inputs that earlier
// versions of the image kept. What is not there is left to the archive.
func (b *Builder) fromStore(ctx context.Context, image string, pkgs []debian.Package) {
	if b.Parents == nil {
		return
	}
	for _, p := range pkgs {
		if _, err := os.Stat(b.debs().Path(p.SHA256)); err == nil {
			continue
		}
		rc, err := b.Parents.OpenBlob(ctx, image, digest.NewDigestFromEncoded(digest.SHA256, p.SHA256), 0, -1)
		if errors.Is(err, registry.CodeNameUnknown) {
			return
		}
		if err != nil {
			continue
		}
		err = b.addDeb(p, rc)
		rc.Close()
		if err != nil {
			fmt.Fprintf(b.Log, "stored input %s is not usable: %v\n", p.Name, err)
		}
	}
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

func (b *Builder) addDeb(p debian.Package, r io.Reader) error {
	_, err := b.debs().Add(p.SHA256, p.Size, r)
	return err
}

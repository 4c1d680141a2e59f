package bake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"kiln/bake/template"
	"kiln/registry"
)

// InputsArtifact marks the referrer that keeps what a version was baked from.
const InputsArtifact = "application/vnd.kiln.inputs.v1+json"

// fileMediaType is that of what is kept and no package.
const fileMediaType = "application/octet-stream"

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
		return fileMediaType
	}
	return debMediaType
}

// keepInputs attaches, in a referrer, the record of how an image was made and,
// if that is wanted, the .debs and indexes that it was made of, which it stores,
// so that the version can be baked again when the archive has moved on. What
// cannot be had any more is left out: the image does not need it.
func (p *RegistryPublisher) keepInputs(ctx context.Context, img *Image, subject ocispec.Descriptor, kept []ocispec.Descriptor) error {
	if img.Index != nil {
		return nil
	}
	if p.KeepInputs {
		files, err := p.keepFiles(ctx, img)
		if err != nil {
			return err
		}
		kept = append(kept, files...)
	}
	if len(kept) == 0 {
		return nil
	}
	if have, err := p.keptBefore(ctx, img); err != nil || have {
		return err
	}
	return p.refer(ctx, img, subject, kept)
}

// keepRecord makes the record of an image and stores it and the details that it
// names, side by side.
func (p *RegistryPublisher) keepRecord(ctx context.Context, img *Image) ([]ocispec.Descriptor, error) {
	rec, err := img.makeRecord(ctx)
	if err != nil || rec == nil {
		return nil, err
	}
	img.noted = rec.record.Digest
	all := append([]blob{rec.record}, rec.files...)
	kept := make([]ocispec.Descriptor, 0, len(all))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(pushers)
	for _, f := range all {
		group.Go(func() error { return p.pushBytes(gctx, img.Name, f.Descriptor, f.content) })
		kept = append(kept, f.Descriptor)
	}
	return kept, group.Wait()
}

// keepFiles stores the .debs and indexes that are at hand.
func (p *RegistryPublisher) keepFiles(ctx context.Context, img *Image) ([]ocispec.Descriptor, error) {
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
			return nil, err
		}
		kept = append(kept, desc)
	}
	return append(kept, p.carried(ctx, img)...), nil
}

// carried are the files that lie with the version that img is a rebase of, and
// that img is made of, too: kept with both, they outlive either.
func (p *RegistryPublisher) carried(ctx context.Context, img *Image) []ocispec.Descriptor {
	if p.Origin == nil {
		return nil
	}
	var list []ocispec.Descriptor
	for _, dep := range p.Origin.Dependencies {
		in := Input{Dependency: dep}
		if in.Digest["sha256"] == "" {
			continue
		}
		have, err := p.Registry.StatBlob(ctx, img.Name, in.blob())
		if err != nil {
			continue // was never kept: the template, say
		}
		list = append(list, ocispec.Descriptor{
			MediaType: fileMediaType, Digest: in.blob(), Size: have.Size,
			Annotations: map[string]string{ocispec.AnnotationTitle: in.URI},
		})
	}
	return list
}

// keptBefore tells whether this very record is with the image already.
func (p *RegistryPublisher) keptBefore(ctx context.Context, img *Image) (bool, error) {
	if img.noted == "" {
		return false, nil
	}
	for desc, err := range p.Registry.Referrers(ctx, img.Name, img.Digest, InputsArtifact) {
		if err != nil {
			return false, err
		}
		if desc.Annotations[RecordAnnotation] == string(img.noted) {
			return true, nil
		}
	}
	return false, nil
}

// refer attaches what is kept to the image.
func (p *RegistryPublisher) refer(ctx context.Context, img *Image, subject ocispec.Descriptor, kept []ocispec.Descriptor) error {
	if err := p.pushBytes(ctx, img.Name, ocispec.DescriptorEmptyJSON, ocispec.DescriptorEmptyJSON.Data); err != nil {
		return err
	}
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: InputsArtifact, Config: ocispec.DescriptorEmptyJSON, Layers: kept, Subject: &subject,
	}
	if img.noted != "" {
		m.Annotations = map[string]string{
			RecordAnnotation:          string(img.noted),
			ocispec.AnnotationCreated: p.Now().UTC().Format(time.RFC3339),
		}
	}
	content, err := json.Marshal(m)
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
		switch s := s.(type) {
		case *template.Run:
			list = append(list, s.Network)
		case *template.Dockerfile:
			list = append(list, s.Network)
		}
	}
	return list
}

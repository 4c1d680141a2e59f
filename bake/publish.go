package bake

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"kiln/registry"
	"kiln/sign"
)

// Publisher makes built images versions of a registry.
type Publisher interface {
	// Current returns the tag under which img is a complete version already:
	// stored, and with a key signed and attested. "" if it is not.
	Current(ctx context.Context, img *Image) (tag string, err error)
	// Publish stores img with its evidence and returns its new version tag.
	// The tag comes last: a failure before it leaves no version. When another
	// bake of the same image finished meanwhile, the tag is that one's, and the
	// error ErrOvertaken.
	Publish(ctx context.Context, img *Image) (tag string, err error)
	// Lacking lists the inputs of img that Publish would store and that the
	// image's repository does not have.
	Lacking(ctx context.Context, img *Image) []Input
}

// ErrOvertaken says that another bake made the version.
var ErrOvertaken = errors.New("another bake of the same image finished first")

// VersionFinder tells the version tags of a digest, newest first.
type VersionFinder interface {
	TagsOf(ctx context.Context, image string, d digest.Digest) ([]string, error)
}

// RegistryPublisher publishes to a registry.
type RegistryPublisher struct {
	Registry   registry.Registry
	Versions   VersionFinder
	Signer     *sign.Signer // nil: versions are unsigned and carry no evidence
	Revision   Revision
	Template   Input             // the template's file, for provenance
	Lock       Input             // the lock file
	Files      []Input           // what else of the template's folder decided on the images
	Variables  map[string]string // set from outside the template
	Secrets    []string          // names of sensitive variables among them
	KeepInputs bool              // store the .debs with the version
	Epoch      *time.Time
	Kiln       string // version of kiln
	Invocation string
	Started    time.Time
	Now        func() time.Time
	// Origin is the version that an image is made again from; nil of a bake.
	Origin *Origin
}

// maxTagClash bounds the search for a second without a version, in seconds.
const maxTagClash = 60

// pushers is how many blobs are pushed at once.
const pushers = 4

// Current implements Publisher.
func (p *RegistryPublisher) Current(ctx context.Context, img *Image) (string, error) {
	tags, err := p.Versions.TagsOf(ctx, img.Name, img.Digest)
	if err != nil || len(tags) == 0 {
		if isAbsent(err) {
			return "", nil
		}
		return "", err
	}
	tag := newest(p.fitting(tags))
	if tag == "" {
		return "", nil
	}
	ok, err := p.recordedAll(ctx, img)
	if err == nil && ok && p.Signer != nil {
		ok, err = p.complete(ctx, img)
	}
	if err != nil || !ok {
		return "", err
	}
	return tag, nil
}

// recordedAll tells whether how an image was made lies with it, and that of
// each of its platforms with that.
func (p *RegistryPublisher) recordedAll(ctx context.Context, img *Image) (bool, error) {
	for _, part := range img.parts() {
		if part.record == nil || p.Signer != nil {
			continue // nothing to look for, or its provenance is asked
		}
		found := false
		for desc, err := range p.Registry.Referrers(ctx, img.Name, part.Digest, InputsArtifact) {
			if err != nil {
				return false, err
			}
			found = found || desc.Annotations[RecordAnnotation] != ""
		}
		if !found {
			return false, nil
		}
	}
	return true, nil
}

// fitting leaves out, for a clean tree, the tags of dirty ones: a commit makes a
// version that names it.
func (p *RegistryPublisher) fitting(tags []string) []string {
	if p.Revision.Dirty {
		return tags
	}
	return slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return strings.HasSuffix(t, "-dirty") })
}

// Publish implements Publisher. The order is the contract of a bake: content
// untagged, evidence, signature, and the version tag as the commit point.
func (p *RegistryPublisher) Publish(ctx context.Context, img *Image) (string, error) {
	before, err := p.Versions.TagsOf(ctx, img.Name, img.Digest)
	if err != nil && !isAbsent(err) {
		return "", err
	}
	descs, manifest, err := p.storeParts(ctx, img)
	if err != nil {
		return "", err
	}
	at, err := p.freeTag(ctx, img, p.Now())
	if err != nil {
		return "", err
	}
	for i, part := range img.parts() {
		if p.Signer == nil {
			break
		}
		part.tag = img.tag
		if err := p.attest(ctx, part, descs[i]); err != nil {
			return "", fmt.Errorf("attest %s: %w", img.Name, err)
		}
	}
	if tag, err := p.overtaken(ctx, img, before); err != nil {
		return tag, err
	}
	return p.tag(ctx, img, manifest, at)
}

// storeParts stores the manifests of a version with their inputs, its own last,
// which it returns.
func (p *RegistryPublisher) storeParts(ctx context.Context, img *Image) ([]ocispec.Descriptor, registry.Manifest, error) {
	var descs []ocispec.Descriptor
	var manifest registry.Manifest
	for _, part := range img.parts() {
		desc, m, err := p.storePart(ctx, part)
		if err != nil {
			return nil, m, err
		}
		descs, manifest = append(descs, desc), m
	}
	return descs, manifest, nil
}

// storePart stores a manifest with its inputs. How it was made is written down
// while its layers are pushed.
func (p *RegistryPublisher) storePart(ctx context.Context, img *Image) (desc ocispec.Descriptor, m registry.Manifest, err error) {
	var kept []ocispec.Descriptor
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if desc, m, err = p.store(gctx, img); err != nil {
			return fmt.Errorf("store %s: %w", img.Name, err)
		}
		return nil
	})
	group.Go(func() error {
		var err error
		if kept, err = p.keepRecord(gctx, img); err != nil {
			return fmt.Errorf("store the record of %s: %w", img.Name, err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return desc, m, err
	}
	if err := p.keepInputs(ctx, img, desc, kept); err != nil {
		return desc, m, fmt.Errorf("store the inputs of %s: %w", img.Name, err)
	}
	return desc, m, nil
}

// overtaken returns ErrOvertaken and the tag if the image got one that was not
// there before.
func (p *RegistryPublisher) overtaken(ctx context.Context, img *Image, before []string) (string, error) {
	tags, err := p.Versions.TagsOf(ctx, img.Name, img.Digest)
	if err != nil && !isAbsent(err) {
		return "", err
	}
	if !slices.ContainsFunc(tags, func(t string) bool { return !slices.Contains(before, t) }) {
		return "", nil
	}
	tag, err := p.Current(ctx, img)
	if err == nil && tag != "" && !slices.Contains(before, tag) {
		err = ErrOvertaken
	}
	return tag, err
}

// freeTag finds the first second from at on that no other version of the image
// took, and sets the image's tag to it.
func (p *RegistryPublisher) freeTag(ctx context.Context, img *Image, at time.Time) (time.Time, error) {
	for range maxTagClash {
		img.tag = VersionTag(img.Recipe.Version, at, p.Revision)
		have, err := p.Registry.Tag(ctx, img.Name, img.tag)
		switch {
		case isAbsent(err), err == nil && have.Digest == img.Digest:
			return at, nil
		case err != nil:
			return at, err
		}
		at = at.Add(time.Second)
	}
	return at, fmt.Errorf("tag %s: %d seconds in a row all have versions (is the clock right?)", img.Name, maxTagClash)
}

// tag commits the version. Where somebody else took the tag meanwhile, the next
// free one is taken.
func (p *RegistryPublisher) tag(ctx context.Context, img *Image, m registry.Manifest, at time.Time) (string, error) {
	for range maxTagClash {
		m.Tags = []string{img.tag}
		_, err := p.Registry.PushManifest(ctx, img.Name, m)
		if err == nil {
			return img.tag, nil
		}
		if !errors.Is(err, registry.CodeDenied) {
			return "", fmt.Errorf("tag %s:%s: %w", img.Name, img.tag, err)
		}
		if at, err = p.freeTag(ctx, img, at.Add(time.Second)); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("tag %s: others take every tag first (bake again)", img.Name)
}

// store pushes blobs and the manifest, untagged.
func (p *RegistryPublisher) store(ctx context.Context, img *Image) (ocispec.Descriptor, registry.Manifest, error) {
	var none registry.Manifest
	if img.Index != nil {
		content, err := img.Index.RawManifest()
		if err != nil {
			return ocispec.Descriptor{}, none, err
		}
		m := registry.Manifest{MediaType: ocispec.MediaTypeImageIndex, Content: content}
		desc, err := p.Registry.PushManifest(ctx, img.Name, m)
		return desc, m, err
	}
	content, err := img.Image.RawManifest()
	if err != nil {
		return ocispec.Descriptor{}, none, err
	}
	mediaType, err := img.Image.MediaType()
	if err != nil {
		return ocispec.Descriptor{}, none, err
	}
	if err := p.pushBlobs(ctx, img); err != nil {
		return ocispec.Descriptor{}, none, err
	}
	m := registry.Manifest{MediaType: string(mediaType), Content: content}
	desc, err := p.Registry.PushManifest(ctx, img.Name, m)
	return desc, m, err
}

func (p *RegistryPublisher) pushBlobs(ctx context.Context, img *Image) error {
	manifest, err := img.Image.Manifest()
	if err != nil {
		return err
	}
	config, err := img.Image.RawConfigFile()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(pushers)
	for i, d := range manifest.Layers {
		group.Go(func() error {
			return p.pushLayer(ctx, img, d, i)
		})
	}
	group.Go(func() error {
		return p.pushBytes(ctx, img.Name, describeBlob(manifest.Config), config)
	})
	return group.Wait()
}

// pushLayer pushes one layer unless the image has it; what comes from the
// parent's image is linked from there.
func (p *RegistryPublisher) pushLayer(ctx context.Context, img *Image, d v1.Descriptor, i int) error {
	desc := describeBlob(d)
	if _, err := p.Registry.StatBlob(ctx, img.Name, desc.Digest); err == nil {
		return nil
	}
	if img.Parent != nil && img.Parent.Name != img.Name {
		if _, err := p.Registry.MountBlob(ctx, img.Parent.Name, img.Name, desc.Digest); err == nil {
			return nil
		}
	}
	all, err := img.Image.Layers()
	if err != nil {
		return err
	}
	if l, ok := all[i].(*storeLayer); ok && l.repo != img.Name {
		if _, err := p.Registry.MountBlob(ctx, l.repo, img.Name, desc.Digest); err == nil {
			return nil
		}
	}
	content, err := all[i].Compressed()
	if err != nil {
		return err
	}
	defer content.Close()
	return p.Registry.PushBlob(ctx, img.Name, desc, content)
}

func (p *RegistryPublisher) pushBytes(ctx context.Context, repo string, desc ocispec.Descriptor, content []byte) error {
	if _, err := p.Registry.StatBlob(ctx, repo, desc.Digest); err == nil {
		return nil
	}
	return p.Registry.PushBlob(ctx, repo, desc, bytes.NewReader(content))
}

func describeBlob(d v1.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size}
}

// isAbsent tells "not there" from failures.
func isAbsent(err error) bool {
	return errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) || errors.Is(err, registry.CodeBlobUnknown)
}

// EvidenceRegistry is the part of a registry that evidence lies in.
type EvidenceRegistry interface {
	registry.Reader
	registry.Lister
	PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error
	PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error)
}

// evidence lets sign write into a registry.
type evidence struct{ EvidenceRegistry }

// PushEvidence implements sign.Evidence.
func (e evidence) PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	m := registry.Manifest{MediaType: mediaType, Content: content}
	if tag != "" {
		m.Tags = []string{tag}
	}
	return e.PushManifest(ctx, repo, m)
}

// Evidence adapts a registry to what sign reads and writes.
func Evidence(r EvidenceRegistry) sign.Evidence { return evidence{r} }

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// AncestryRequest asks what a version was baked on and what was baked on it.
type AncestryRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest,omitempty"` // "" for what was baked on any version of Image
	// Latest leaves out descendants that are not the newest version of their image.
	Latest bool `json:"latest,omitempty"`
	// ParentsOnly leaves out all descendants, of which there may be very many.
	ParentsOnly bool   `json:"parents_only,omitempty"`
	Limit       int    `json:"limit,omitempty"`
	Cursor      string `json:"cursor,omitempty"`
}

// AncestrySchema is the schema of an Ancestry.
const AncestrySchema = "kiln.ancestry/v1"

// Ancestry is what the store knows of a version's line. It repeats what
// manifests say of themselves; Known says what signed provenance bears out.
type Ancestry struct {
	Schema string        `json:"schema"`
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest,omitempty"`
	// Revoked: Digest must not be used, itself or by an ancestor that signed
	// provenance names. RevokedBecause is the reason, and of what it is.
	Revoked        bool   `json:"revoked"`
	RevokedBecause string `json:"revoked_because,omitempty"`
	// Parents of Digest, the nearest first.
	Parents []Ancestor `json:"parents"`
	// Descendants are a page of the versions baked on Digest itself, by image,
	// digest and parent. A page may hold fewer than its limit.
	Descendants []Descendant `json:"descendants"`
	Next        string       `json:"next"` // "" on the last page
}

// Ancestor is a parent, or a parent's parent.
type Ancestor struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Stored bool          `json:"stored"` // this store has it
	// Known: provenance that is signed by who may bake the image names it.
	Known bool `json:"known"`
	// Foreign: it is from another registry, whose ledgers nobody asks here.
	Foreign bool `json:"foreign,omitempty"`
	// Revoked: it is revoked, and what was baked on it with it.
	Revoked        bool   `json:"revoked"`
	RevokedBecause string `json:"revoked_because,omitempty"`
}

// Descendant is a version that was baked on another.
type Descendant struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Parent digest.Digest `json:"parent"` // what it was baked on
	Tag    string        `json:"tag"`    // its newest version tag
	Latest bool          `json:"latest"` // it is the newest version of its image
}

// Cursor continues a list behind d.
func (d Descendant) Cursor() string {
	return d.Image + "@" + string(d.Digest) + "@" + string(d.Parent)
}

// Ancestry implements Operations.
func (s *Service) Ancestry(ctx context.Context, req AncestryRequest) (Ancestry, error) {
	if err := s.checkKnown(ctx, req.Image); err != nil {
		return Ancestry{}, err
	}
	page := Ancestry{
		Schema: AncestrySchema, Image: req.Image, Digest: req.Digest,
		Parents: []Ancestor{}, Descendants: []Descendant{},
	}
	if req.Digest != "" {
		var err error
		if page.Parents, err = s.parents(ctx, req.Image, req.Digest); err != nil {
			return Ancestry{}, err
		}
		if err := s.judgeLine(ctx, &page); err != nil {
			return Ancestry{}, err
		}
	}
	if req.ParentsOnly {
		return page, nil
	}
	hints, err := s.hints(ctx, req.Image, req.Digest)
	if err != nil {
		return Ancestry{}, err
	}
	limit, newest := pageSize(req.Limit), map[string]versionEntry{}
	for _, d := range hints {
		if req.Cursor != "" && d.Cursor() <= req.Cursor {
			continue
		}
		if len(page.Descendants) == limit {
			page.Next = page.Descendants[limit-1].Cursor()
			break
		}
		is, err := s.describeDescendant(ctx, &d, newest, req.Latest)
		if err != nil {
			return Ancestry{}, err
		}
		if is {
			page.Descendants = append(page.Descendants, d)
		}
	}
	return page, nil
}

// describeDescendant fills in what a hint leaves open; false if it is no
// version any more, or not the newest where only that is wanted.
func (s *Service) describeDescendant(ctx context.Context, d *Descendant, newest map[string]versionEntry, latest bool) (bool, error) {
	top, known := newest[d.Image]
	if !known {
		for v, err := range s.entries(ctx, d.Image, "", "") {
			if err != nil {
				return false, err
			}
			top = v
			break
		}
		newest[d.Image] = top
	}
	if d.Latest = top.Digest == d.Digest; d.Latest || latest {
		d.Tag = top.Tag
		return d.Latest, nil
	}
	for v, err := range s.entries(ctx, d.Image, "", d.Digest) {
		if err != nil {
			return false, err
		}
		d.Tag = v.Tag
		return true, nil
	}
	return false, nil
}

// hints lists what the store's index says was baked on a version, or on any of
// an image, sorted.
func (s *Service) hints(ctx context.Context, image string, d digest.Digest) ([]Descendant, error) {
	bases := []digest.Digest{d}
	if d == "" {
		bases = nil
		for v, err := range s.entries(ctx, image, "", "") {
			if err != nil {
				return nil, err
			}
			bases = append(bases, v.Digest)
		}
		slices.Sort(bases)
		bases = slices.Compact(bases)
	}
	var list []Descendant
	for _, base := range bases {
		names, err := s.asParent(ctx, image, base)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			found, err := s.namedBy(ctx, name, base)
			if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
	}
	slices.SortFunc(list, func(a, b Descendant) int { return strings.Compare(a.Cursor(), b.Cursor()) })
	return list, nil
}

// asParent lists the digests by which manifests name a version as what they
// are from: its own, and those of its platforms, which images for one platform
// stand on.
func (s *Service) asParent(ctx context.Context, image string, d digest.Digest) ([]digest.Digest, error) {
	names := []digest.Digest{d}
	desc, content, err := s.registry.Manifest(ctx, image, d)
	if errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) {
		return names, nil // what is baked on it may be there all the same
	}
	if err != nil {
		return nil, fmt.Errorf("manifest %s@%s: %w", image, d, err)
	}
	m, err := registry.ParseManifest(desc.MediaType, content)
	if err != nil {
		return names, nil // whatever was pushed there names no platforms
	}
	for _, p := range m.Manifests {
		names = append(names, p.Digest)
	}
	return names, nil
}

// namedBy lists what names a digest as what it is from, which stands for the
// version base.
func (s *Service) namedBy(ctx context.Context, name, base digest.Digest) ([]Descendant, error) {
	var list []Descendant
	prefix := store.DescendantKey(name, "", "")
	for info, err := range s.store.List(ctx, prefix, "") {
		if err != nil {
			return nil, fmt.Errorf("what is baked on %s: %w", name, err)
		}
		escaped, child, ok := strings.Cut(strings.TrimPrefix(info.Key, prefix), "@")
		image := store.UnescapeImage(escaped)
		if !ok || registry.CheckName(image) != nil || registry.CheckDigest(digest.Digest(child)) != nil {
			return nil, fmt.Errorf("what is baked on %s: entry %s is damaged", name, clip(info.Key))
		}
		list = append(list, Descendant{Image: image, Digest: digest.Digest(child), Parent: base})
	}
	return list, nil
}

// parents follows what manifests say of what they were baked on.
func (s *Service) parents(ctx context.Context, image string, d digest.Digest) ([]Ancestor, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	line := []Ancestor{}
	for depth := range maxDepth {
		base, name, err := s.base(ctx, image, d)
		switch {
		case err != nil && depth == 0:
			return nil, err
		case KindOf(err) == KindNotFound:
			line[depth-1].Stored = false // the store no longer has it
			return line, nil
		case err != nil:
			return nil, err
		case base == "":
			return line, nil
		}
		line = append(line, Ancestor{Image: name, Digest: base, Stored: true})
		image, d = name, base
	}
	return line, nil
}

// base is what a manifest says that it was baked on; "" for nothing.
func (s *Service) base(ctx context.Context, image string, d digest.Digest) (base digest.Digest, name string, err error) {
	_, content, err := s.registry.Manifest(ctx, image, d)
	if errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) {
		return "", "", errorf(KindNotFound, "%s has no version %s", image, d).hinted("kiln versions %s lists them", image)
	}
	if err != nil {
		return "", "", fmt.Errorf("manifest %s@%s: %w", image, d, err)
	}
	var m struct {
		Annotations map[string]string `json:"annotations"`
	}
	if json.Unmarshal(content, &m) != nil {
		return "", "", nil
	}
	base, name = digest.Digest(m.Annotations[ocispec.AnnotationBaseImageDigest]), m.Annotations[ocispec.AnnotationBaseImageName]
	if registry.CheckDigest(base) != nil || registry.CheckName(name) != nil {
		return "", "", nil
	}
	return base, name, nil
}

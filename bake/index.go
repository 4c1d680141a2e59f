package bake

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake/template"
	"kiln/layers"
	"kiln/registry"
)

// together puts the images of one block, by platform, into the index that is
// their version. It speaks for all of them: their steps, packages, inputs and
// tests are its own.
func together(images []*Image) (*Image, error) {
	all := &Image{Name: images[0].Name, Recipe: images[0].Recipe, Platforms: images, Tests: TestReport{Cached: true}}
	parts := make([]v1.Image, len(images))
	var tests []any
	for i, img := range images {
		parts[i] = img.Image
		if img.Timestamp.After(all.Timestamp) {
			all.Timestamp = img.Timestamp
		}
		for _, s := range img.Steps {
			s.Platform = img.Recipe.Platform()
			all.Steps = append(all.Steps, s)
		}
		all.Components = append(all.Components, img.Components...)
		all.Inputs = append(all.Inputs, img.Inputs...)
		for _, name := range img.Tests.Passed {
			all.Tests.Passed = append(all.Tests.Passed, img.Recipe.Platform()+": "+name)
		}
		all.Tests.Cached = all.Tests.Cached && img.Tests.Cached
		tests = append(tests, img.TestsBy)
	}
	all.Scan = scanOfPlatforms(images)
	all.Components = distinct(all.Components, func(c Component) string { return c.PURL() + c.SHA256 })
	all.Inputs = distinct(all.Inputs, func(in Input) string {
		return fmt.Sprint(in.Name, in.URI, in.Digest)
	})
	all.TestsBy = key("tests of platforms", tests...)
	ix, err := layers.AssembleIndex(parts, indexAnnotations(images))
	if err != nil {
		return nil, err
	}
	h, err := ix.Digest()
	if err != nil {
		return nil, err
	}
	all.Index, all.Digest = ix, digest.Digest(h.String())
	return all, nil
}

// distinct keeps the first of what has the same id.
func distinct[T any](list []T, id func(T) string) []T {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(v T) bool {
		again := seen[id(v)]
		seen[id(v)] = true
		return again
	})
}

// indexAnnotations are those that all the images have; the base is the version
// that theirs belong to, where it is one.
func indexAnnotations(images []*Image) map[string]string {
	common := annotations(&state{recipe: images[0].Recipe, parent: images[0].Parent})
	for _, img := range images[1:] {
		own := annotations(&state{recipe: img.Recipe, parent: img.Parent})
		maps.DeleteFunc(common, func(k, v string) bool { return own[k] != v })
	}
	delete(common, ocispec.AnnotationBaseImageDigest)
	if base := images[0].Parent.version(); base != "" && !slices.ContainsFunc(images, func(img *Image) bool { return img.Parent.version() != base }) {
		common[ocispec.AnnotationBaseImageDigest] = string(base)
	}
	return common
}

// version is the digest that stands for img in its repository: that of the
// index that it belongs to, else its own.
func (img *Image) version() digest.Digest {
	if img == nil {
		return ""
	}
	return cmp.Or(img.Of, img.Digest)
}

// parts are the manifests of a version, its own last.
func (img *Image) parts() []*Image { return append(slices.Clone(img.Platforms), img) }

// pick finds the image of a platform where d is an index; then index is d.
func pick(ctx context.Context, r registry.Reader, repo string, d digest.Digest, recipe *template.Image) (image, index digest.Digest, err error) {
	desc, raw, err := r.Manifest(ctx, repo, d)
	if err != nil {
		return "", "", fmt.Errorf("read %s@%s: %w", repo, d, err)
	}
	parsed, err := registry.ParseManifest(desc.MediaType, raw)
	if err != nil {
		return "", "", fmt.Errorf("read %s@%s: %w", repo, d, err)
	}
	if len(parsed.Manifests) == 0 {
		return d, "", nil
	}
	want, err := platform(recipe)
	if err != nil {
		return "", "", err
	}
	var have []string
	for _, m := range parsed.Manifests {
		if m.Platform == nil || m.Platform.Architecture == "unknown" { // as BuildKit marks its attestations
			continue
		}
		if m.Platform.OS == want.OS && m.Platform.Architecture == want.Architecture {
			return m.Digest, d, nil
		}
		have = append(have, m.Platform.OS+"/"+m.Platform.Architecture)
	}
	return "", "", fmt.Errorf("%s@%s is for %s, this image for %s (set platforms to what it has)",
		repo, d, strings.Join(have, ", "), recipe.Platform())
}

// platform of an image, or those of a version.
func (img *Image) platform() string {
	if img.Index == nil {
		return img.Recipe.Platform()
	}
	return strings.Join(img.Recipe.All, ",")
}

// family names what provenance says besides an image's inputs: the images of an
// index, and the version that a parent is a platform of.
func (img *Image) family() []Input {
	var list []Input
	add := func(name, uri string, d digest.Digest) {
		list = append(list, Input{Dependency: Dependency{
			Name: name, URI: "oci://" + uri + "@" + string(d), Digest: map[string]string{string(d.Algorithm()): d.Encoded()},
		}})
	}
	for _, part := range img.Platforms {
		add(part.Recipe.Platform(), part.Name, part.Digest)
	}
	for _, part := range img.parts() {
		if p := part.Parent; p != nil && p.Of != "" {
			add("parent-index", path.Join(p.Host, p.Name), p.Of)
		}
	}
	return distinct(list, func(in Input) string { return in.URI })
}

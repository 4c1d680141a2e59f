package ocilayout

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// refName is what a tag of an image is called in index.json.
func refName(repo, tag string) string {
	if repo == "" {
		return tag
	}
	return repo + ":" + tag
}

// named tells image and tag of an entry; ok is false for one without a tag.
func named(desc ocispec.Descriptor) (repo, tag string, ok bool) {
	name := desc.Annotations[ocispec.AnnotationRefName]
	if registry.CheckTag(name) == nil {
		return "", name, true
	}
	ref, err := registry.ParseReference(name)
	if err != nil || ref.Tag == "" {
		return "", "", false
	}
	return ref.Name, ref.Tag, true
}

// Found is what a name in a layout stands for.
type Found struct {
	Repo       string // image, for the methods of Layout; "" for one without a name
	Tag        string // "" for what has no tag
	Descriptor ocispec.Descriptor
}

// Find finds what the user of a layout names: a ref.name as it stands there, a
// tag or an image that only one entry has, or, by "", the only image that is
// there. Referrers and the tags of signatures are found by their ref.name only.
// CodeManifestUnknown where there is none, with the names that there are.
func (l *Layout) Find(name string) (Found, error) {
	index, err := l.index()
	if err != nil {
		return Found{}, err
	}
	var found []Found
	var names []string
	for _, desc := range index.Manifests {
		repo, tag, _ := named(desc)
		f := Found{repo, tag, plain(desc)}
		refName := desc.Annotations[ocispec.AnnotationRefName]
		if name != "" && refName == name {
			return f, registry.CheckDigest(desc.Digest)
		}
		if l.attached(desc, tag) {
			continue
		}
		if refName != "" {
			names = append(names, refName)
		}
		if name == "" || name == tag || name == repo {
			found = append(found, f)
		}
	}
	return l.only(name, found, names)
}

// only is the one that was found.
func (l *Layout) only(name string, found []Found, names []string) (Found, error) {
	same := func(f Found) bool { return f.Descriptor.Digest == found[0].Descriptor.Digest }
	switch {
	case len(found) == 1 || len(found) > 1 && name == "" && !slices.ContainsFunc(found, func(f Found) bool { return !same(f) }):
		return found[0], registry.CheckDigest(found[0].Descriptor.Digest)
	case len(found) > 1:
		return Found{}, registry.Errorf(registry.CodeManifestUnknown, "%s holds several images%s: name one of them", l.dir, list(names))
	case name == "":
		return Found{}, registry.Errorf(registry.CodeManifestUnknown, "%s holds no image", l.dir)
	}
	return Found{}, registry.Errorf(registry.CodeManifestUnknown, "%s holds no image %s%s", l.dir, name, list(names))
}

func list(names []string) string {
	if len(names) == 0 {
		return ""
	}
	const most = 10
	more := ""
	if len(names) > most {
		names, more = names[:most], fmt.Sprintf(" and %d more", len(names)-most)
	}
	return " (" + strings.Join(names, ", ") + more + ")"
}

// attached tells what belongs to an image from images.
func (l *Layout) attached(desc ocispec.Descriptor, tag string) bool {
	if strings.HasPrefix(tag, "sha256-") || strings.HasPrefix(tag, "sha512-") {
		return true
	}
	p, err := l.partsOf(desc)
	return err == nil && p.Subject != "" && tag == ""
}

// plain is the descriptor that names content and no more.
func plain(desc ocispec.Descriptor) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
}

// partsOf reads a manifest that an entry or a parent names.
func (l *Layout) partsOf(desc ocispec.Descriptor) (registry.Parts, error) {
	if p, ok := l.parts.Load(desc.Digest); ok {
		return p.(registry.Parts), nil
	}
	content, err := l.manifest(desc.Digest)
	if err != nil {
		return registry.Parts{}, err
	}
	p, err := registry.ParseManifest(mediaType(desc.MediaType, content), content)
	if err != nil {
		return registry.Parts{}, err
	}
	l.parts.Store(desc.Digest, p)
	return p, nil
}

// isAbsent tells content that the layout has not.
func isAbsent(err error) bool {
	return errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeBlobUnknown)
}

// digestOf is what a manifest's bytes are called in the algorithm of d.
func digestOf(d digest.Digest, content []byte) digest.Digest {
	if d == "" {
		return digest.FromBytes(content)
	}
	return d.Algorithm().FromBytes(content)
}

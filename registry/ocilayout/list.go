package ocilayout

import (
	"maps"
	"slices"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDepth bounds how far indexes are followed into each other.
const maxDepth = 16

// list puts a manifest into index.json under its tags, or without one where it
// has none yet, and takes out what it names.
func (l *Layout) list(index *ocispec.Index, desc ocispec.Descriptor, p registry.Parts, repo string, tags []string) {
	l.parts.Store(desc.Digest, p)
	for _, tag := range tags {
		entry := l.entry(index.Manifests, desc, p)
		index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
			r, t, ok := named(d)
			return ok && r == repo && t == tag || d.Digest == desc.Digest && bare(d)
		})
		entry.Annotations[ocispec.AnnotationRefName] = refName(repo, tag)
		index.Manifests = append(index.Manifests, entry)
	}
	if !slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }) {
		entry := l.entry(index.Manifests, desc, p)
		entry.Annotations = nil
		index.Manifests = append(index.Manifests, entry)
	}
	children := map[digest.Digest]bool{}
	for _, d := range index.Manifests {
		l.children(d, children, 0)
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		if !children[d.Digest] || !bare(d) {
			return false
		}
		p, err := l.partsOf(d)
		return err == nil && p.Subject == ""
	})
}

// bare tells an entry that has no name.
func bare(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] == "" }

// entry describes a manifest, with what others said of it here.
func (l *Layout) entry(known []ocispec.Descriptor, desc ocispec.Descriptor, p registry.Parts) ocispec.Descriptor {
	for _, d := range known {
		if d.Digest == desc.Digest {
			d.Annotations = maps.Clone(d.Annotations)
			if d.Annotations == nil {
				d.Annotations = map[string]string{}
			}
			return d
		}
	}
	desc = plain(desc)
	desc.Annotations = map[string]string{}
	if p.Subject != "" {
		desc.ArtifactType = p.ArtifactType
	}
	return desc
}

// children collects what lies below an index. What cannot be read has none.
func (l *Layout) children(desc ocispec.Descriptor, seen map[digest.Digest]bool, depth int) {
	p, err := l.partsOf(desc)
	if err != nil || depth == maxDepth {
		return
	}
	for _, child := range p.Manifests {
		if !seen[child.Digest] {
			seen[child.Digest] = true
			l.children(child, seen, depth+1)
		}
	}
}

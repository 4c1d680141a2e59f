package ocilayout

import (
	"context"
	"encoding/json"
	"iter"
	"slices"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Repositories implements registry.Lister; the image without a name is "".
func (l *Layout) Repositories(_ context.Context, after string) iter.Seq2[string, error] {
	return l.names(after, func(repo, _ string) (string, bool) { return repo, true })
}

// Tags implements registry.Lister. An image that is not there has none.
func (l *Layout) Tags(_ context.Context, repo, after string) iter.Seq2[string, error] {
	return l.names(after, func(r, tag string) (string, bool) { return tag, r == repo })
}

func (l *Layout) names(after string, pick func(repo, tag string) (string, bool)) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		index, err := l.index()
		if err != nil {
			yield("", err)
			return
		}
		var names []string
		for _, desc := range index.Manifests {
			if repo, tag, ok := named(desc); ok {
				if name, ok := pick(repo, tag); ok && (name > after || after == "") {
					names = append(names, name)
				}
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Referrers implements registry.Lister. It finds the referrers that index.json
// lists and those that the tag schema of the distribution spec names, and reads
// each to see whose it is.
func (l *Layout) Referrers(_ context.Context, _ string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		found, err := l.referrers(d)
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		for _, desc := range found {
			if (artifactType == "" || desc.ArtifactType == artifactType) && !yield(desc, nil) {
				return
			}
		}
	}
}

func (l *Layout) referrers(d digest.Digest) ([]ocispec.Descriptor, error) {
	if err := registry.CheckDigest(d); err != nil {
		return nil, err
	}
	index, err := l.index()
	if err != nil {
		return nil, err
	}
	all, err := l.withTagSchema(index.Manifests, d)
	if err != nil {
		return nil, err
	}
	seen := map[digest.Digest]bool{}
	var found []ocispec.Descriptor
	for _, desc := range all {
		if registry.CheckDigest(desc.Digest) != nil || seen[desc.Digest] {
			continue
		}
		seen[desc.Digest] = true
		p, err := l.partsOf(desc)
		if isAbsent(err) || registry.ErrorCode(err) == registry.CodeManifestInvalid {
			continue // of another kind, or in no use
		}
		if err != nil {
			return nil, err
		}
		if p.Subject == d {
			desc = plain(desc)
			desc.MediaType, desc.ArtifactType, desc.Annotations = p.MediaType, p.ArtifactType, p.Annotations
			found = append(found, desc)
		}
	}
	slices.SortFunc(found, func(a, b ocispec.Descriptor) int {
		if a.Digest < b.Digest {
			return -1
		}
		return 1
	})
	return found, nil
}

// withTagSchema adds what an index under the tag ALG-HEX lists.
func (l *Layout) withTagSchema(entries []ocispec.Descriptor, d digest.Digest) ([]ocispec.Descriptor, error) {
	hex := d.Encoded()
	schema := d.Algorithm().String() + "-" + hex[:min(len(hex), 64)]
	for _, desc := range entries {
		if _, tag, ok := named(desc); !ok || tag != schema || registry.CheckDigest(desc.Digest) != nil {
			continue
		}
		content, err := l.manifest(desc.Digest)
		if err != nil {
			return nil, err
		}
		var index ocispec.Index
		if err := json.Unmarshal(content, &index); err != nil {
			return nil, registry.Errorf(registry.CodeManifestInvalid, "index %s: %w", desc.Digest, err)
		}
		entries = append(slices.Clip(entries), index.Manifests...)
	}
	return entries, nil
}

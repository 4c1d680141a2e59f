package ociclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Referrers implements registry.Lister.
func (c *Client) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		if err := checkDigest(repo, d); err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		for desc, err := range c.referrers(ctx, repo, d, artifactType) {
			if err == nil {
				err = registry.CheckDigest(desc.Digest)
			}
			if err != nil {
				yield(ocispec.Descriptor{}, err)
				return
			}
			if (artifactType == "" || desc.ArtifactType == artifactType) && !yield(desc, nil) {
				return
			}
		}
	}
}

// referrers asks the API, and where there is none, reads the tag.
func (c *Client) referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	q := call{method: http.MethodGet, url: c.path(repo, "referrers", d.String()), scopes: c.scopes(repo, pull), unknown: registry.CodeUnsupported}
	q.header = map[string]string{"Accept": ocispec.MediaTypeImageIndex}
	if artifactType != "" {
		q.url.RawQuery = url.Values{"artifactType": {artifactType}}.Encode()
	}
	return func(yield func(ocispec.Descriptor, error) bool) {
		first := true
		for content, err := range c.pages(ctx, q) {
			if first && (errors.Is(err, registry.CodeUnsupported) || errors.Is(err, registry.CodeNameUnknown) || errors.Is(err, registry.CodeManifestUnknown)) {
				content, err = c.referrersTag(ctx, repo, d)
			}
			first = false
			if !yieldIndex(content, err, yield) {
				return
			}
		}
	}
}

// yieldIndex yields the descriptors of an index, and tells whether to go on.
func yieldIndex(content []byte, err error, yield func(ocispec.Descriptor, error) bool) bool {
	var index ocispec.Index
	if err == nil && content != nil {
		err = json.Unmarshal(content, &index)
	}
	if err != nil {
		yield(ocispec.Descriptor{}, err)
		return false
	}
	for _, desc := range index.Manifests {
		if !yield(desc, nil) {
			return false
		}
	}
	return true
}

// referrersTag reads the index that lists referrers where the registry does
// not; nil if there is none.
func (c *Client) referrersTag(ctx context.Context, repo string, d digest.Digest) ([]byte, error) {
	_, content, err := c.manifest(ctx, repo, tagOf(d), digest.SHA256)
	if errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) {
		return nil, nil
	}
	return content, err
}

// tagOf is the tag of the referrers of d (distribution spec, "Referrers Tag
// Schema"): a tag has at most 128 characters, so sha512 is cut.
func tagOf(d digest.Digest) string {
	hex := d.Encoded()
	return d.Algorithm().String() + "-" + hex[:min(len(hex), 64)]
}

// addReferrer lists a pushed manifest at its subject, in a registry that did
// not. Two that do so at once can lose one: so it looks again.
func (c *Client) addReferrer(ctx context.Context, repo string, desc ocispec.Descriptor, content []byte) error {
	m := subjectOf(content)
	if m.Subject == nil || registry.CheckDigest(m.Subject.Digest) != nil {
		return nil
	}
	desc.ArtifactType, desc.Annotations = m.ArtifactType, m.Annotations
	if desc.ArtifactType == "" {
		desc.ArtifactType = m.Config.MediaType
	}
	for range maxAttempts {
		old, err := c.referrersTag(ctx, repo, m.Subject.Digest)
		if err != nil {
			return err
		}
		index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
		index.SchemaVersion = 2
		if old != nil {
			if err := json.Unmarshal(old, &index); err != nil {
				return fmt.Errorf("referrers of %s: %w", m.Subject.Digest, err)
			}
		}
		if slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == desc.Digest }) {
			return nil
		}
		index.Manifests = append(index.Manifests, desc)
		next, err := json.Marshal(index)
		if err != nil {
			return err
		}
		if _, err := c.PushManifest(ctx, repo, registry.Manifest{MediaType: index.MediaType, Content: next, Tags: []string{tagOf(m.Subject.Digest)}}); err != nil {
			return err
		}
	}
	return registry.Errorf(registry.CodeConflict, "others list referrers of %s at the same time; push %s again", m.Subject.Digest, desc.Digest)
}

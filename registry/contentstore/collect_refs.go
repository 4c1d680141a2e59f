package contentstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// references is what a manifest names.
type references struct {
	content   []name // config, layers, and what an index has that are no manifests
	manifests []name
	parent    *name // what it was baked on
}

// errNoManifest: the bytes are whole and no manifest.
var errNoManifest = errors.New("no manifest")

// references reads and checks a manifest, once for all walks and images.
// Of what may be something else it does not read much.
func (m *marker) references(ctx context.Context, n name, loose bool) (*references, error) {
	m.mu.Lock()
	refs := m.read[n]
	m.mu.Unlock()
	if refs != nil {
		return refs, nil
	}
	d := n.digest()
	if loose {
		if info, err := m.r.store.Stat(ctx, store.BlobKey(d)); err != nil {
			return nil, err
		} else if info.Size > registry.MaxManifestSize {
			return nil, errNoManifest
		}
	}
	content, err := m.r.readObject(ctx, store.BlobKey(d), registry.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	if err := newVerifier(bytes.NewReader(content), d, -1, registry.CodeCorrupt).drain(); err != nil {
		return nil, err
	}
	if refs, err = readReferences(content); err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.read[n] = refs
	m.mu.Unlock()
	return refs, nil
}

// readReferences is lenient: it takes for a reference whatever may be one.
func readReferences(content []byte) (*references, error) {
	var doc struct {
		Config      *ocispec.Descriptor  `json:"config"`
		Layers      []ocispec.Descriptor `json:"layers"`
		Manifests   []ocispec.Descriptor `json:"manifests"`
		Annotations map[string]string    `json:"annotations"`
	}
	if err := json.Unmarshal(content, &doc); err != nil {
		return nil, fmt.Errorf("%w: %v", errNoManifest, err)
	}
	refs := &references{}
	if doc.Config != nil {
		doc.Layers = append(doc.Layers, *doc.Config)
	}
	for _, l := range doc.Layers {
		if registry.CheckDigest(l.Digest) == nil {
			refs.content = append(refs.content, nameOf(l.Digest))
		}
	}
	for _, c := range doc.Manifests {
		if registry.CheckDigest(c.Digest) == nil {
			refs.manifests = append(refs.manifests, nameOf(c.Digest))
		}
	}
	if base := digest.Digest(doc.Annotations[ocispec.AnnotationBaseImageDigest]); registry.CheckDigest(base) == nil {
		n := nameOf(base)
		refs.parent = &n
	}
	return refs, nil
}

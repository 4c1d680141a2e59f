package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake"
	"kiln/policy"
	"kiln/registry"
	"kiln/registry/promotion"
)

// Media types of policies in a registry: OPA's bundles are a tar.gz layer,
// conftest's policies a layer for each file.
const (
	policyArtifact   = "application/vnd.cncf.openpolicyagent.policy.v1"
	policyBundleType = ocispec.MediaTypeImageLayerGzip
	policyRegoType   = "application/vnd.cncf.openpolicyagent.policy.layer.v1+rego"
	policyDataType   = "application/vnd.cncf.openpolicyagent.data.layer.v1+json"
)

// bundleRef reads the reference of a policy in the store: by digest, so that
// nobody changes what gates promotions by moving a tag.
func bundleRef(s string) (registry.Reference, error) {
	ref, err := storeRef(s)
	if err == nil && (ref.Digest == "" || ref.Tag != "") {
		return registry.Reference{}, fmt.Errorf("%s: name a policy by its digest: IMAGE@sha256:… (kiln policy push prints it)", s)
	}
	return ref, err
}

// policyBundle reads a policy from the store, once it is known to be signed by
// a key that the store's trust lists for baking its image.
func (b *backend) policyBundle(ctx context.Context, s string) (map[string][]byte, error) {
	ref, err := bundleRef(s)
	if err != nil {
		return nil, err
	}
	_, content, err := b.registry.Manifest(ctx, ref.Name, ref.Digest) // what is not there is not unsigned
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", s, err)
	}
	trust, err := b.ops.Trust(ctx)
	if err != nil {
		return nil, err
	}
	v, err := trust.Verifier(promotion.RoleBake, ref.Name, "", time.Now, nil)
	if err == nil {
		_, err = v.VerifyImage(ctx, bake.Evidence(b.registry), ref.Name, ref.Digest)
	}
	if err != nil {
		return nil, withHint(exitUnverified, fmt.Errorf("policy %s: %w", s, err),
			"sign it with a key that the store trusts for baking "+ref.Name+": kiln policy push, kiln sign")
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return nil, fmt.Errorf("policy %s: its manifest: %w", s, err)
	}
	files := map[string][]byte{}
	for _, layer := range m.Layers {
		found, err := readPolicyLayer(ctx, b.registry, ref.Name, layer)
		if err == nil {
			err = addPolicyFiles(files, found, s)
		}
		if err != nil {
			return nil, fmt.Errorf("policy %s: layer %s: %w", s, layer.Digest, err)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("policy %s: there is no policy in it", s)
	}
	return files, nil
}

// readPolicyLayer reads the files of one layer. One of an unknown type may not
// be left out: it could hold what denies.
func readPolicyLayer(ctx context.Context, r registry.Reader, image string, layer ocispec.Descriptor) (map[string][]byte, error) {
	if layer.Size > policy.MaxSource {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", layer.Size, policy.MaxSource)
	}
	blob, err := r.OpenBlob(ctx, image, layer.Digest, 0, -1)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	text, err := io.ReadAll(io.LimitReader(blob, policy.MaxSource+1))
	if err != nil {
		return nil, err
	}
	if layer.Digest.Algorithm().FromBytes(text) != layer.Digest {
		return nil, errors.New("its bytes do not match its digest")
	}
	switch layer.MediaType {
	case policyBundleType:
		return untarPolicy(text)
	case policyRegoType, policyDataType:
		name, err := memberName(layer.Annotations[ocispec.AnnotationTitle])
		if err == nil && !isPolicyFile(name) {
			err = fmt.Errorf("its title %q is no .rego file and no data.json", name)
		}
		return map[string][]byte{name: text}, err
	default:
		return nil, fmt.Errorf("its type is %q; want %s, %s or %s", layer.MediaType, policyBundleType, policyRegoType, policyDataType)
	}
}

// untarPolicy reads what counts in a bundle. What else OPA puts there (its
// manifest, its own signatures) does not.
func untarPolicy(text []byte) (map[string][]byte, error) {
	zipped, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	const limit = 4 * policy.MaxSource // with the tar's own blocks
	tooLong := fmt.Errorf("more than %d bytes unpacked", limit)
	plain := &io.LimitedReader{R: zipped, N: limit + 1}
	files := map[string][]byte{}
	for tr := tar.NewReader(plain); ; {
		h, err := tr.Next()
		if plain.N == 0 {
			return nil, tooLong
		}
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		name, err := memberName(h.Name)
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeDir || !isPolicyFile(name) {
			continue
		}
		if h.Typeflag != tar.TypeReg || len(files) == maxPolicyFiles {
			return nil, fmt.Errorf("%s is no file, or one of more than %d", name, maxPolicyFiles)
		}
		if err := addMember(files, name, tr); err != nil && plain.N == 0 {
			return nil, tooLong
		} else if err != nil {
			return nil, err
		}
	}
}

// addMember adds a file of a bundle.
func addMember(files map[string][]byte, name string, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return addPolicyFiles(files, map[string][]byte{name: content}, "bundle")
}

// memberName is a name in a bundle, without a slash before it.
func memberName(name string) (string, error) {
	clean := path.Clean(strings.TrimLeft(name, "/"))
	if clean == ".." || strings.HasPrefix(clean, "../") {
		return "", fmt.Errorf("%q leads out of the bundle", name)
	}
	return clean, nil
}

// tarPolicy writes files as an OPA bundle; the same files give the same bytes.
func tarPolicy(files map[string][]byte) ([]byte, error) {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatPAX}
		if err := tw.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := tw.Write(files[name]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(tw.Close(), zw.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// pushPolicy stores files as an artifact under a tag.
func (b *backend) pushPolicy(ctx context.Context, image, tag string, files map[string][]byte) (ocispec.Descriptor, error) {
	bundle, err := tarPolicy(files)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer := ocispec.Descriptor{
		MediaType: policyBundleType, Digest: digest.FromBytes(bundle), Size: int64(len(bundle)),
		Annotations: map[string]string{ocispec.AnnotationTitle: "bundle.tar.gz"},
	}
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: policyArtifact,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer},
	}
	m.SchemaVersion = 2
	content, err := json.Marshal(m)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := b.registry.PushBlob(ctx, image, m.Config, bytes.NewReader(m.Config.Data)); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := b.registry.PushBlob(ctx, image, layer, bytes.NewReader(bundle)); err != nil {
		return ocispec.Descriptor{}, err
	}
	return b.registry.PushManifest(ctx, image, registry.Manifest{MediaType: m.MediaType, Content: content, Tags: []string{tag}})
}

package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
)

// memory is evidence in maps; the zero value is empty. It keeps one
// repository's content per name and trusts nobody: content is looked up under
// the digest it is stored by, so tests can plant other bytes there.
type memory struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string][]byte
	tags      map[string]ocispec.Descriptor
	refs      map[string][]ocispec.Descriptor
	fail      error  // what every read returns, if set
	onTag     func() // called before a tag moves
}

func newMemory() *memory {
	return &memory{
		blobs:     map[string][]byte{},
		manifests: map[string][]byte{},
		tags:      map[string]ocispec.Descriptor{},
		refs:      map[string][]ocispec.Descriptor{},
	}
}

func at(repo, what string) string { return repo + "@" + what }

func (m *memory) lookup(from map[string][]byte, repo string, d digest.Digest) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return nil, m.fail
	}
	content, ok := from[at(repo, d.String())]
	if !ok {
		return nil, fmt.Errorf("%s: %w", at(repo, d.String()), fs.ErrNotExist)
	}
	return content, nil
}

func (m *memory) OpenBlob(_ context.Context, repo string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	content, err := m.lookup(m.blobs, repo, d)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(content[offset:])), nil
}

func (m *memory) Manifest(_ context.Context, repo string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	content, err := m.lookup(m.manifests, repo, d)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(content))}, content, err
}

func (m *memory) Tag(_ context.Context, repo, tag string) (ocispec.Descriptor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return ocispec.Descriptor{}, m.fail
	}
	desc, ok := m.tags[at(repo, tag)]
	if !ok {
		return desc, fs.ErrNotExist
	}
	return desc, nil
}

func (m *memory) Referrers(_ context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := append([]ocispec.Descriptor(nil), m.refs[at(repo, d.String())]...)
	fail := m.fail
	return func(yield func(ocispec.Descriptor, error) bool) {
		if fail != nil {
			yield(ocispec.Descriptor{}, fail)
			return
		}
		for _, desc := range list {
			if !yield(desc, nil) {
				return
			}
		}
	}
}

func (m *memory) PushBlob(_ context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if digest.FromBytes(content) != desc.Digest || int64(len(content)) != desc.Size {
		return fmt.Errorf("blob %s: other bytes", desc.Digest)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[at(repo, desc.Digest.String())] = content
	return nil
}

func (m *memory) PushEvidence(_ context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	var manifest ocispec.Manifest
	if err := json.Unmarshal(content, &manifest); err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	m.mu.Lock()
	m.manifests[at(repo, desc.Digest.String())] = content
	if manifest.Subject != nil {
		listed := desc
		listed.ArtifactType, listed.Annotations = manifest.ArtifactType, manifest.Annotations
		key := at(repo, manifest.Subject.Digest.String())
		m.refs[key] = append(m.refs[key], listed)
	}
	hook := m.onTag
	m.mu.Unlock()
	if tag != "" {
		if hook != nil {
			hook()
		}
		m.mu.Lock()
		m.tags[at(repo, tag)] = desc
		m.mu.Unlock()
	}
	return desc, nil
}

const shop = "acme/shop"

// imageOf is the descriptor of some image.
func imageOf(content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(content), Size: int64(len(content))}
}

// testSigner is a signer with a fresh key that never was in a file.
func testSigner(t testing.TB) *Signer {
	t.Helper()
	key, _, err := signature.NewDefaultECDSASignerVerifier()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verifierOf verifies with the keys of signers, through their PEM form.
func verifierOf(t testing.TB, signers ...*Signer) *Verifier {
	t.Helper()
	var keys [][]byte
	for _, s := range signers {
		keys = append(keys, s.PublicPEM())
	}
	v, err := NewVerifier(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

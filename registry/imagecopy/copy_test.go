package imagecopy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"kiln/registry"
	"kiln/registry/imagecopy"
	"kiln/registry/registrytest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestCopy copies a release from each kind of registry to each.
func TestCopy(t *testing.T) {
	for source, newSource := range places {
		for destination, newDestination := range places {
			t.Run(source+" to "+destination, func(t *testing.T) {
				t.Parallel()
				src, dst := newSource(t), newDestination(t)
				rel := newRelease(t, src)
				var done, known atomic.Int64
				opts := imagecopy.Options{Tags: []string{"1.0", "latest"}, Progress: func(d, k int64) {
					done.Store(max(done.Load(), d))
					known.Store(max(known.Load(), k))
				}}
				got, err := imagecopy.Copy(t.Context(), src, from, rel.index.Digest, dst, to, opts)
				if err != nil {
					t.Fatal(err)
				}
				if got.Root.Digest != rel.index.Digest || got.Children != 3 || got.Attached != 6 || got.Blobs != rel.blobs || got.Sent != rel.blobs {
					t.Errorf("%+v, want %d blobs", got, rel.blobs)
				}
				if len(got.Tags) != 4 || !slices.Equal(got.Tags[2:], opts.Tags) {
					t.Errorf("tags %q", got.Tags)
				}
				if got.Bytes == 0 || done.Load() != got.Bytes || known.Load() != got.Bytes {
					t.Errorf("%d bytes sent, progress %d of %d", got.Bytes, done.Load(), known.Load())
				}
				rel.check(t, src, dst, to)
				for _, tag := range opts.Tags {
					if desc, err := dst.Tag(t.Context(), to, tag); err != nil || desc.Digest != rel.index.Digest {
						t.Errorf("tag %s: %v, %v", tag, desc, err)
					}
				}
				again, err := imagecopy.Copy(t.Context(), src, from, rel.index.Digest, dst, to, opts)
				if err != nil || again.Sent != 0 || again.Bytes != 0 {
					t.Errorf("again: %+v, %v", again, err)
				}
			})
		}
	}
}

// TestWithin links blobs within one registry, and only tags within one image.
func TestWithin(t *testing.T) {
	for _, name := range []string{"store", "server", "layout"} {
		r := places[name](t)
		rel := newRelease(t, r)
		got, err := imagecopy.Copy(t.Context(), r, from, rel.index.Digest, r, to, imagecopy.Options{SameRegistry: true})
		if err != nil || got.Sent != 0 || got.Mounted != rel.blobs {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		rel.check(t, r, r, to)
		got, err = imagecopy.Copy(t.Context(), r, from, rel.index.Digest, r, from, imagecopy.Options{SameRegistry: true, Tags: []string{"next"}})
		if err != nil || got.Blobs != 0 || strings.Join(got.Tags, " ") != "next" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestBare leaves out what is attached.
func TestBare(t *testing.T) {
	src, dst := newContent(t), newContent(t)
	rel := newRelease(t, src)
	got, err := imagecopy.Copy(t.Context(), src, from, rel.index.Digest, dst, to, imagecopy.Options{Bare: true})
	if err != nil || got.Attached != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got := referrersOf(t, dst, to, rel.index.Digest); len(got) != 0 {
		t.Errorf("referrers %v", got)
	}
}

// failing is a destination that takes so many writes.
type failing struct {
	place
	left, blobs atomic.Int64
}

var errFull = errors.New("no more")

func (f *failing) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	if f.left.Add(-1) < 0 {
		return errFull
	}
	f.blobs.Add(1)
	return f.place.PushBlob(ctx, repo, desc, r)
}

func (f *failing) PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	if f.left.Add(-1) < 0 {
		return ocispec.Descriptor{}, errFull
	}
	return f.place.PushManifest(ctx, repo, m)
}

// TestBreaksOff: wherever a copy breaks off, its tag is not to be seen before
// all of it is there, and the next copy goes on.
func TestBreaksOff(t *testing.T) {
	src := newContent(t)
	rel := newRelease(t, src)
	opts := imagecopy.Options{Tags: []string{"1.0"}, Jobs: 1}
	for n, whole := int64(0), false; !whole; n += 2 {
		dst := &failing{place: newContent(t)}
		dst.left.Store(n)
		_, err := imagecopy.Copy(t.Context(), src, from, rel.index.Digest, dst, to, opts)
		if whole = err == nil; !whole && !errors.Is(err, errFull) {
			t.Fatal(err)
		}
		if _, err := dst.Tag(t.Context(), to, "1.0"); (err == nil) != whole {
			t.Fatalf("after %d writes: tag %v", n, err)
		}
		dst.left.Store(1000)
		there := int(dst.blobs.Load())
		got, err := imagecopy.Copy(t.Context(), src, from, rel.index.Digest, dst, to, opts)
		if err != nil || got.Sent != rel.blobs-there {
			t.Fatalf("after %d writes: %+v, %v", n, got, err)
		}
		rel.check(t, src, dst, to)
	}
}

// counting counts the manifests that are read.
type counting struct {
	imagecopy.Source
	read atomic.Int64
}

func (c *counting) Manifest(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	c.read.Add(1)
	return c.Source.Manifest(ctx, repo, d)
}

// TestSharedIndexes: indexes that name each other twice are walked once, and
// not without end (FAULTS 5).
func TestSharedIndexes(t *testing.T) {
	src := newContent(t)
	d := registrytest.PushImage(t, src, from, "leaf", nil)
	for depth := 1; depth <= 18; depth++ {
		other := d
		other.Annotations = map[string]string{"again": "yes"}
		d = newIndex(t, src, d, other, other)
		counted := &counting{Source: src}
		_, err := imagecopy.Copy(t.Context(), counted, from, d.Digest, newContent(t), to, imagecopy.Options{})
		switch {
		case depth <= 16 && (err != nil || counted.read.Load() > int64(depth+1)):
			t.Errorf("depth %d: %v, %d manifests read", depth, err, counted.read.Load())
		case depth > 16 && registry.ErrorCode(err) != registry.CodeManifestInvalid:
			t.Errorf("depth %d: %v", depth, err)
		}
	}
}

// fat is a source of an index of many manifests, each as large as one may be.
type fat struct {
	imagecopy.Source
	root []byte
	leaf []byte
	read atomic.Int64
}

func (f *fat) Manifest(_ context.Context, _ string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	content := f.leaf
	if d == digest.FromBytes(f.root) {
		content = f.root
	}
	f.read.Add(1)
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: d, Size: int64(len(content))}, content, nil
}

// TestFatIndex: a source cannot fill the memory with what an index names.
func TestFatIndex(t *testing.T) {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	index.Annotations = map[string]string{"x": strings.Repeat("x", 4_000_000)}
	leaf, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	index.Annotations = nil
	for i := range 200 {
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString(fmt.Sprint(i)), Size: int64(len(leaf)),
		})
	}
	src := &fat{leaf: leaf}
	if src.root, err = json.Marshal(index); err != nil {
		t.Fatal(err)
	}
	_, err = imagecopy.Copy(t.Context(), src, from, digest.FromBytes(src.root), newContent(t), to, imagecopy.Options{})
	if registry.ErrorCode(err) != registry.CodeManifestInvalid || !strings.Contains(err.Error(), "bytes") || src.read.Load() > 40 {
		t.Errorf("%v, %d manifests read", err, src.read.Load())
	}
}

// signing is a source where, while it is copied, someone signs.
type signing struct {
	imagecopy.Source
	lists atomic.Int64
	sign  func(n int64)
}

func (s *signing) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		var list []ocispec.Descriptor
		for desc, err := range s.Source.Referrers(ctx, repo, d, artifactType) {
			if err != nil {
				yield(desc, err)
				return
			}
			list = append(list, desc)
		}
		s.sign(s.lists.Add(1)) // too late for this list
		for _, desc := range list {
			if !yield(desc, nil) {
				return
			}
		}
	}
}

// TestSignedMeanwhile: a signature that comes while its image is copied comes
// along, as a referrer or under cosign's tag (FAULTS 15).
func TestSignedMeanwhile(t *testing.T) {
	src, dst := newContent(t), newContent(t)
	rel := &release{referrers: map[digest.Digest][]digest.Digest{}, tags: map[string]digest.Digest{}}
	image := registrytest.PushImage(t, src, from, "layer", nil)
	late := &signing{Source: src, sign: func(n int64) {
		switch n {
		case 1:
			rel.attach(t, src, image, "late signature")
		case 3:
			rel.tag(t, src, image, ".sig")
		}
	}}
	if _, err := imagecopy.Copy(t.Context(), late, from, image.Digest, dst, to, imagecopy.Options{Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	if len(rel.manifests) != 2 {
		t.Fatalf("%d signatures were made", len(rel.manifests))
	}
	rel.check(t, src, dst, to)
}

// TestTooMuchAttached: attachments without end or size (FAULTS 33).
func TestTooMuchAttached(t *testing.T) {
	src := newContent(t)
	rel := &release{referrers: map[digest.Digest][]digest.Digest{}, tags: map[string]digest.Digest{}}
	image := registrytest.PushImage(t, src, from, "layer", nil)
	subject := image
	for i := range 5 {
		subject = rel.attach(t, src, subject, fmt.Sprint("attached ", i, strings.Repeat("x", 1000)))
	}
	for name, opts := range map[string]imagecopy.Options{
		"manifests": {MaxAttached: 4}, "bytes": {MaxAttachedBytes: 4000},
	} {
		opts.Tags = []string{"1.0"}
		dst := newContent(t)
		_, err := imagecopy.Copy(t.Context(), src, from, image.Digest, dst, to, opts)
		if registry.ErrorCode(err) != registry.CodeManifestInvalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := dst.Tag(t.Context(), to, "1.0"); err == nil {
			t.Errorf("%s: tagged nevertheless", name)
		}
	}
	if got, err := imagecopy.Copy(t.Context(), src, from, image.Digest, newContent(t), to, imagecopy.Options{MaxAttached: 5}); err != nil || got.Attached != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}

// lying is a source whose blobs are not what they are called.
type lying struct{ imagecopy.Source }

func (l lying) OpenBlob(context.Context, string, digest.Digest, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader("layes")), nil
}

// TestLyingSource: bytes that do not match their digest (FAULTS 11) arrive
// nowhere.
func TestLyingSource(t *testing.T) {
	for name, open := range places {
		src := newContent(t)
		image := registrytest.PushImage(t, src, from, "layer", nil, func(m *ocispec.Manifest) { m.Config = m.Layers[0] })
		dst := open(t)
		if _, err := imagecopy.Copy(t.Context(), lying{src}, from, image.Digest, dst, to, imagecopy.Options{Tags: []string{"1.0"}}); err == nil {
			t.Errorf("%s: wrong bytes are taken", name)
		}
		if _, err := dst.StatBlob(t.Context(), to, digest.FromString("layer")); err == nil {
			t.Errorf("%s: wrong bytes are a blob", name)
		}
		if _, err := dst.Tag(t.Context(), to, "1.0"); err == nil {
			t.Errorf("%s: tagged nevertheless", name)
		}
	}
}

// TestSignaturesStay: a signature that the destination alone has is not lost
// to the source's under the same tag (FAULTS 35).
func TestSignaturesStay(t *testing.T) {
	src, dst := newContent(t), newContent(t)
	image := registrytest.PushImage(t, src, from, "layer", nil)
	registrytest.PushImage(t, dst, to, "layer", nil)
	tag := cosignTag(image.Digest, ".sig")
	signed := func(r place, repo string, by ...string) {
		registrytest.PushImage(t, r, repo, "payload", []string{tag}, func(m *ocispec.Manifest) {
			payload := m.Layers[0]
			m.Layers = nil
			for _, signer := range by {
				payload.Annotations = map[string]string{"signature": signer}
				m.Layers = append(m.Layers, payload)
			}
		})
	}
	for _, c := range []struct{ ours, theirs, want string }{
		{"ann", "bob", "bob ann"},
		{"ann", "ann bob", "ann bob"},
		{"ann bob", "bob", "ann bob"},
		{"ann", "ann", "ann"},
	} {
		signed(src, from, strings.Fields(c.ours)...)
		signed(dst, to, strings.Fields(c.theirs)...)
		if _, err := imagecopy.Copy(t.Context(), src, from, image.Digest, dst, to, imagecopy.Options{}); err != nil {
			t.Fatal(err)
		}
		if got := signers(t, dst, tag); got != c.want {
			t.Errorf("%s onto %s: signed by %s, want %s", c.ours, c.theirs, got, c.want)
		}
	}
}

// TestVersionTags finds those of one digest.
func TestVersionTags(t *testing.T) {
	for name, open := range places {
		r := open(t)
		image := registrytest.PushImage(t, r, from, "one", []string{"20260101T000000Z-0123456789ab", "1.0-20260102T000000Z-0123456789ab", "latest"})
		registrytest.PushImage(t, r, from, "two", []string{"20260103T000000Z-0123456789ab"})
		got, err := imagecopy.VersionTags(t.Context(), r, from, image.Digest)
		if err != nil || strings.Join(got, " ") != "1.0-20260102T000000Z-0123456789ab 20260101T000000Z-0123456789ab" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestDockerImage copies what docker push makes: its own media types, and no
// referrers.
func TestDockerImage(t *testing.T) {
	const list = "application/vnd.docker.distribution.manifest.list.v2+json"
	for name, open := range places {
		src, dst := newContent(t), open(t)
		image := registrytest.PushImage(t, src, from, "layer", nil)
		docker := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":%q,"size":37},"layers":[]}`,
			"application/vnd.docker.distribution.manifest.v2+json", digest.FromString(`{"architecture":"amd64","os":"linux"}`))
		child := registrytest.PushJSON(t, src, from, "application/vnd.docker.distribution.manifest.v2+json", json.RawMessage(docker))
		index := registrytest.PushJSON(t, src, from, list, json.RawMessage(fmt.Sprintf(
			`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, list, child.MediaType, child.Digest, child.Size)))
		for _, d := range []ocispec.Descriptor{image, index} {
			if _, err := imagecopy.Copy(t.Context(), src, from, d.Digest, dst, to, imagecopy.Options{Tags: []string{"latest"}}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got, err := dst.Tag(t.Context(), to, "latest"); err != nil || got.Digest != index.Digest || got.MediaType != list {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

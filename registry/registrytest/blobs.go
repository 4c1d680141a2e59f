package registrytest

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func testBlobs(t *testing.T, r registry.Registry) {
	for _, content := range []string{"hello", "", strings.Repeat("0123456789abcdef", 200_000)} {
		desc := describe("", content)
		wantNoBlob(t, r, repo, desc.Digest)
		for _, size := range []int64{desc.Size, -1} { // the same again is fine
			err := r.PushBlob(t.Context(), repo, ocispec.Descriptor{Digest: desc.Digest, Size: size}, strings.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
		}
		got, err := r.StatBlob(t.Context(), repo, desc.Digest)
		if err != nil || got.Digest != desc.Digest || got.Size != desc.Size {
			t.Errorf("stat: %v, %v", got, err)
		}
		if got := readBlob(t, r, repo, desc.Digest, 0, -1); got != content {
			t.Errorf("got %d bytes, want %d", len(got), len(content))
		}
	}
}

func testBlobRanges(t *testing.T, r registry.Registry) {
	d := PushBlob(t, r, repo, "", "0123456789").Digest
	for _, c := range []struct {
		offset, length int64
		want           string
	}{{0, 4, "0123"}, {3, 4, "3456"}, {3, -1, "3456789"}, {9, 1, "9"}, {8, 100, "89"}, {0, 10, "0123456789"}} {
		if got := readBlob(t, r, repo, d, c.offset, c.length); got != c.want {
			t.Errorf("from %d, %d bytes: got %q, want %q", c.offset, c.length, got, c.want)
		}
	}
	rc, err := r.OpenBlob(t.Context(), repo, d, 11, -1)
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
		rc.Close()
	}
	want(t, err, registry.CodeRangeInvalid)
}

func testWrongBlobs(t *testing.T, r registry.Registry) {
	desc := describe("", "the right bytes")
	broken := errors.New("broken pipe")
	for _, c := range []struct {
		name  string
		size  int64
		body  io.Reader
		codes []registry.Code // none: any error
	}{
		{"other bytes", -1, strings.NewReader("the wrong bytes"), []registry.Code{registry.CodeDigestInvalid}},
		{"other bytes of that size", desc.Size, strings.NewReader("the wrong bytes"), []registry.Code{registry.CodeDigestInvalid}},
		{"nothing", -1, strings.NewReader(""), []registry.Code{registry.CodeDigestInvalid}},
		{"too short", desc.Size, strings.NewReader("the right"), nil},
		{"too long", desc.Size, strings.NewReader("the right bytes and more"), nil},
		{"broken off", -1, io.MultiReader(strings.NewReader("the right bytes"), iotest.ErrReader(broken)), nil},
	} {
		err := r.PushBlob(t.Context(), repo, ocispec.Descriptor{Digest: desc.Digest, Size: c.size}, c.body)
		if err == nil {
			t.Errorf("%s: taken", c.name)
		} else if len(c.codes) > 0 {
			wantOne(t, err, c.codes...)
		}
		wantNoBlob(t, r, repo, desc.Digest)
	}
	PushBlob(t, r, repo, "", "the right bytes")
}

// testForeignBlobs: a digest alone opens nothing (CVE-2024-39897), and gets no
// link either: who pushes a blob that is there already must have its bytes.
func testForeignBlobs(t *testing.T, r registry.Registry) {
	const secret = "a blob of one image"
	d := PushBlob(t, r, "acme/private", "", secret).Digest
	for _, other := range []string{repo, "acme/private/sub", "acme/privat", "acme"} {
		wantNoBlob(t, r, other, d)
		err := r.PushBlob(t.Context(), other, ocispec.Descriptor{Digest: d, Size: -1}, strings.NewReader("guess"))
		want(t, err, registry.CodeDigestInvalid)
		wantNoBlob(t, r, other, d)
	}
	PushBlob(t, r, repo, "", secret)
	if got := readBlob(t, r, repo, d, 0, -1); got != secret {
		t.Errorf("got %q", got)
	}
	m := PushImage(t, r, "acme/private", "layer", nil)
	wantNoManifest(t, r, repo, m.Digest)
	wantNoBlob(t, r, repo, m.Digest)
	wantNoBlob(t, r, "acme/private", m.Digest) // a manifest is no blob
}

func testMount(t *testing.T, r registry.Registry) {
	d := PushBlob(t, r, "acme/base", "", "shared").Digest
	_, err := r.MountBlob(t.Context(), "acme/other", repo, d)
	want(t, err, registry.CodeBlobUnknown)
	wantNoBlob(t, r, repo, d)
	desc, err := r.MountBlob(t.Context(), "acme/base", repo, d)
	if err != nil || desc.Digest != d || desc.Size != 6 {
		t.Fatalf("mount: %v, %v", desc, err)
	}
	if err := r.DeleteBlob(t.Context(), "acme/base", d); err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, r, repo, d, 0, -1); got != "shared" {
		t.Errorf("got %q", got)
	}
}

func testSHA512(t *testing.T, r registry.Registry) {
	d := digest.SHA512.FromString("long digests")
	err := r.PushBlob(t.Context(), repo, ocispec.Descriptor{Digest: d, Size: -1}, strings.NewReader("not this"))
	want(t, err, registry.CodeDigestInvalid)
	if err := r.PushBlob(t.Context(), repo, ocispec.Descriptor{Digest: d, Size: -1}, strings.NewReader("long digests")); err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, r, repo, d, 0, -1); got != "long digests" {
		t.Errorf("got %q", got)
	}
	wantNoBlob(t, r, repo, digest.FromString("long digests"))

	image := PushImage(t, r, repo, "layer", nil)
	_, content, err := r.Manifest(t.Context(), repo, image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	md := digest.SHA512.FromBytes(content)
	desc, err := r.PushManifest(t.Context(), repo, registry.Manifest{MediaType: image.MediaType, Content: content, Digest: md, Tags: []string{"long"}})
	if err != nil || desc.Digest != md {
		t.Fatalf("pushed as %v, %v", desc, err)
	}
	wantTag(t, r, repo, "long", ocispec.Descriptor{MediaType: image.MediaType, Digest: md, Size: image.Size})
	if _, got, err := r.Manifest(t.Context(), repo, md); err != nil {
		t.Error(err)
	} else {
		mustEqual(t, got, content)
	}
}

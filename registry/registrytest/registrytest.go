// Package registrytest is the suite that every registry.Registry passes:
// contentstore over any store, and ociclient over ociserver over contentstore.
package registrytest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Run runs the suite, or those tests of it that are named. Each call of open
// returns an empty registry.
func Run(t *testing.T, open func(t *testing.T) registry.Registry, only ...string) {
	run := 0
	for _, c := range []struct {
		name string
		test func(*testing.T, registry.Registry)
	}{
		{"blobs", testBlobs},
		{"blob ranges", testBlobRanges},
		{"wrong blobs", testWrongBlobs},
		{"blobs of other images", testForeignBlobs},
		{"mount", testMount},
		{"sha512", testSHA512},
		{"uploads", testUploads},
		{"uploads out of order", testUploadOrder},
		{"uploads of other images", testUploadOwner},
		{"manifests", testManifests},
		{"invalid manifests", testInvalidManifests},
		{"missing references", testMissingReferences},
		{"indexes", testIndexes},
		{"tags", testTags},
		{"tag lists", testTagLists},
		{"version tags", testVersionTags},
		{"version tags and deletion", testVersionDeletion},
		{"referrers", testReferrers},
		{"deletion", testDeletion},
		{"repositories", testRepositories},
		{"bad arguments", testBadArguments},
	} {
		if len(only) == 0 || slices.Contains(only, c.name) {
			run++
			t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
		}
	}
	if len(only) > 0 && run != len(only) {
		t.Errorf("%d of the tests %q are in the suite", run, only)
	}
}

// Pusher is what the tests' content is pushed to.
type Pusher interface {
	PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error
	PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error)
}

const repo = "acme/shop"

// PushImage stores an image of one layer with this content, and returns the
// descriptor of its manifest. Each change is applied before it is pushed.
func PushImage(t testing.TB, r Pusher, repo, content string, tags []string, change ...func(*ocispec.Manifest)) ocispec.Descriptor {
	t.Helper()
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageManifest,
		Config:    PushBlob(t, r, repo, ocispec.MediaTypeImageConfig, `{"architecture":"amd64","os":"linux"}`),
		Layers:    []ocispec.Descriptor{PushBlob(t, r, repo, ocispec.MediaTypeImageLayerGzip, content)},
	}
	for _, f := range change {
		f(&m)
	}
	return PushJSON(t, r, repo, m.MediaType, m, tags...)
}

// PushBlob stores a blob and returns its descriptor.
func PushBlob(t testing.TB, r Pusher, repo, mediaType, content string) ocispec.Descriptor {
	t.Helper()
	desc := describe(mediaType, content)
	if err := r.PushBlob(t.Context(), repo, desc, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return desc
}

// PushJSON stores v as a manifest.
func PushJSON(t testing.TB, r Pusher, repo, mediaType string, v any, tags ...string) ocispec.Descriptor {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	desc, err := r.PushManifest(t.Context(), repo, registry.Manifest{MediaType: mediaType, Content: content, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	if want := describe(mediaType, string(content)); desc.Digest != want.Digest || desc.Size != want.Size {
		t.Fatalf("pushed as %v, want %v", desc, want)
	}
	return desc
}

func describe(mediaType, content string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
}

func readBlob(t *testing.T, r registry.Reader, repo string, d digest.Digest, offset, length int64) string {
	t.Helper()
	rc, err := r.OpenBlob(t.Context(), repo, d, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// want fails unless err has this code.
func want(t *testing.T, err error, code registry.Code) {
	t.Helper()
	if registry.ErrorCode(err) != code {
		t.Errorf("got %v (code %q), want code %s", err, registry.ErrorCode(err), code)
	}
}

// wantOne fails unless err has one of these codes: where a spec leaves it open,
// or where a status code alone must tell.
func wantOne(t *testing.T, err error, codes ...registry.Code) {
	t.Helper()
	got := registry.ErrorCode(err)
	for _, c := range codes {
		if got == c {
			return
		}
	}
	t.Errorf("got %v (code %q), want one of %v", err, got, codes)
}

func wantNoBlob(t *testing.T, r registry.Reader, repo string, d digest.Digest) {
	t.Helper()
	_, err := r.StatBlob(t.Context(), repo, d)
	want(t, err, registry.CodeBlobUnknown)
	rc, err := r.OpenBlob(t.Context(), repo, d, 0, -1)
	if err == nil {
		_, err = io.Copy(io.Discard, rc)
		rc.Close()
	}
	want(t, err, registry.CodeBlobUnknown)
}

func wantNoManifest(t *testing.T, r registry.Reader, repo string, d digest.Digest) {
	t.Helper()
	_, _, err := r.Manifest(t.Context(), repo, d)
	want(t, err, registry.CodeManifestUnknown)
}

func wantTag(t *testing.T, r registry.Reader, repo, tag string, want ocispec.Descriptor) {
	t.Helper()
	got, err := r.Tag(t.Context(), repo, tag)
	if err != nil || got.Digest != want.Digest || got.Size != want.Size || got.MediaType != want.MediaType {
		t.Errorf("tag %s: got %v, %v, want %v", tag, got, err, want)
	}
}

func wantNoTag(t *testing.T, r registry.Reader, repo, tag string) {
	t.Helper()
	_, err := r.Tag(t.Context(), repo, tag)
	want(t, err, registry.CodeManifestUnknown)
}

// all collects a sequence that must not fail.
func all[T any](t *testing.T, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var got []T
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v)
	}
	return got
}

// firstError returns the error that ends a sequence.
func firstError[T any](seq iter.Seq2[T, error]) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

func pushErr(ctx context.Context, r registry.Writer, repo string, m registry.Manifest) error {
	_, err := r.PushManifest(ctx, repo, m)
	return err
}

func mustEqual(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

package registrytest

import (
	"slices"
	"testing"

	"kiln/registry"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func testTags(t *testing.T, r registry.Registry) {
	wantNoTag(t, r, repo, "latest")
	a := PushImage(t, r, repo, "a", []string{"latest", "one"})
	wantTag(t, r, repo, "latest", a)
	wantTag(t, r, repo, "one", a)
	b := PushImage(t, r, repo, "b", []string{"latest"})
	wantTag(t, r, repo, "latest", b)
	wantTag(t, r, repo, "one", a)
	wantNoTag(t, r, "acme/other", "latest")

	// Overwriting the last tag of a digest leaves the digest (zot #4444).
	PushImage(t, r, repo, "b", []string{"one"})
	if _, _, err := r.Manifest(t.Context(), repo, a.Digest); err != nil {
		t.Error(err)
	}
	if err := r.DeleteTag(t.Context(), repo, "one"); err != nil {
		t.Fatal(err)
	}
	wantNoTag(t, r, repo, "one")
	wantTag(t, r, repo, "latest", b)
	if _, _, err := r.Manifest(t.Context(), repo, b.Digest); err != nil {
		t.Error(err)
	}
	want(t, r.DeleteTag(t.Context(), repo, "one"), registry.CodeManifestUnknown)
	PushImage(t, r, repo, "a", []string{"one"})
	wantTag(t, r, repo, "one", a)
}

func testTagLists(t *testing.T, r registry.Registry) {
	want(t, firstError(r.Tags(t.Context(), repo, "")), registry.CodeNameUnknown)
	tags := []string{"0", "1.0", "1.0-rc1", "1.0.1", "10", "A", "_", "a", "a-b", "a.b", "a_b", "ab", "latest"}
	PushImage(t, r, repo, "a", []string{"latest", "ab", "a_b", "a.b", "a-b", "a", "_", "A", "10", "1.0.1", "1.0-rc1", "1.0", "0"})
	// Names that are the start of one another hide nothing (distribution #4904).
	for _, other := range []string{"acme/shop-x", "acme/shop/x", "acme", "acme/sho"} {
		PushImage(t, r, other, "a", []string{"elsewhere"})
	}
	if got := all(t, r.Tags(t.Context(), repo, "")); !slices.Equal(got, tags) {
		t.Errorf("tags %q, want %q", got, tags)
	}
	for i, tag := range tags {
		if got := all(t, r.Tags(t.Context(), repo, tag)); !slices.Equal(got, tags[i+1:]) {
			t.Errorf("tags after %q: %q, want %q", tag, got, tags[i+1:])
		}
	}
	if got := all(t, r.Tags(t.Context(), repo, "1.0.0")); !slices.Equal(got, tags[3:]) {
		t.Errorf("tags after one that is not there: %q", got)
	}
	for tag := range r.Tags(t.Context(), repo, "") {
		if tag != "0" {
			t.Errorf("first is %q", tag)
		}
		break
	}
}

const (
	version1 = "1.4.0-20260102T030405Z-0123456789ab"
	version2 = "20260102T030406Z-0123456789ab-dirty"
)

func testVersionTags(t *testing.T, r registry.Registry) {
	a := PushImage(t, r, repo, "a", []string{version1, "latest"})
	wantTag(t, r, repo, version1, a)
	PushImage(t, r, repo, "a", []string{version1, version2}) // the same again, and another of it
	b := PushImage(t, r, repo, "b", nil)
	_, content, err := r.Manifest(t.Context(), repo, b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, tags := range [][]string{{version1}, {"latest", version1}, {version2}} {
		want(t, pushErr(t.Context(), r, repo, registry.Manifest{MediaType: b.MediaType, Content: content, Tags: tags}), registry.CodeDenied)
	}
	for _, tag := range []string{version1, version2, "latest"} { // nothing moved
		wantTag(t, r, repo, tag, a)
	}
	PushImage(t, r, "acme/other", "b", []string{version1}) // another image's is another
	if err := r.DeleteTag(t.Context(), repo, version1); err != nil {
		t.Fatal(err)
	}
	wantNoTag(t, r, repo, version1)
	if got := all(t, r.Tags(t.Context(), repo, "")); !slices.Equal(got, []string{version2, "latest"}) {
		t.Errorf("tags %q", got)
	}
	want(t, r.DeleteTag(t.Context(), repo, version1), registry.CodeManifestUnknown)
	for _, desc := range []ocispec.Descriptor{a, b} { // not even the digest it had
		_, content, err := r.Manifest(t.Context(), repo, desc.Digest)
		if err != nil {
			t.Fatal(err)
		}
		want(t, pushErr(t.Context(), r, repo, registry.Manifest{MediaType: desc.MediaType, Content: content, Tags: []string{version1}}), registry.CodeDenied)
	}
	wantNoTag(t, r, repo, version1)
}

// testVersionDeletion: deleting by digest does not get round a version tag
// (CVE-2026-41888).
func testVersionDeletion(t *testing.T, r registry.Registry) {
	layer := describe(ocispec.MediaTypeImageLayerGzip, "child layer")
	child := PushImage(t, r, repo, "child layer", nil)
	index := PushJSON(t, r, repo, ocispec.MediaTypeImageIndex, newIndex(child), version1, "latest")
	want(t, r.DeleteManifest(t.Context(), repo, index.Digest), registry.CodeDenied)
	want(t, r.DeleteManifest(t.Context(), repo, child.Digest), registry.CodeDenied)
	want(t, r.DeleteBlob(t.Context(), repo, layer.Digest), registry.CodeDenied)
	wantTag(t, r, repo, version1, index)
	wantTag(t, r, repo, "latest", index)
	if _, _, err := r.Manifest(t.Context(), repo, child.Digest); err != nil {
		t.Error(err)
	}
	if got := readBlob(t, r, repo, layer.Digest, 0, -1); got != "child layer" {
		t.Errorf("got %q", got)
	}
	if err := r.DeleteTag(t.Context(), repo, version1); err != nil {
		t.Fatal(err)
	}
	if err := r.DeleteManifest(t.Context(), repo, index.Digest); err != nil {
		t.Fatal(err)
	}
	wantNoManifest(t, r, repo, index.Digest)
	wantNoTag(t, r, repo, "latest")
}

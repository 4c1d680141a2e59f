package registrytest

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	sbomType = "application/vnd.example.sbom"
	signType = "application/vnd.example.signature"
)

func attach(t *testing.T, r registry.Writer, subject ocispec.Descriptor, content, artifactType string) ocispec.Descriptor {
	t.Helper()
	return PushImage(t, r, repo, content, nil, func(m *ocispec.Manifest) {
		m.Subject = &subject
		m.ArtifactType = artifactType
		m.Annotations = map[string]string{"org.example.content": content}
	})
}

func referrers(t *testing.T, r registry.Lister, d digest.Digest, artifactType string) []digest.Digest {
	t.Helper()
	var got []digest.Digest
	for _, desc := range all(t, r.Referrers(t.Context(), repo, d, artifactType)) {
		got = append(got, desc.Digest)
	}
	slices.Sort(got)
	return got
}

func digests(descs ...ocispec.Descriptor) []digest.Digest {
	var ds []digest.Digest
	for _, d := range descs {
		ds = append(ds, d.Digest)
	}
	slices.Sort(ds)
	return ds
}

func testReferrers(t *testing.T, r registry.Registry) {
	subject := PushImage(t, r, repo, "subject", []string{"latest"})
	if got := referrers(t, r, subject.Digest, ""); len(got) != 0 {
		t.Errorf("referrers of nothing: %v", got)
	}
	sbom := attach(t, r, subject, "sbom", sbomType)
	sign := attach(t, r, subject, "sign", signType)
	plain := attach(t, r, subject, "plain", "") // its config's media type counts
	attach(t, r, sign, "deeper", signType)
	for artifactType, want := range map[string][]digest.Digest{
		"": digests(sbom, sign, plain), sbomType: digests(sbom), signType: digests(sign),
		ocispec.MediaTypeImageConfig: digests(plain), "application/none": nil,
	} {
		if got := referrers(t, r, subject.Digest, artifactType); !slices.Equal(got, want) {
			t.Errorf("referrers of type %q: %v, want %v", artifactType, got, want)
		}
	}
	for _, desc := range all(t, r.Referrers(t.Context(), repo, subject.Digest, sbomType)) {
		if desc.ArtifactType != sbomType || desc.Annotations["org.example.content"] != "sbom" || desc.Size != sbom.Size || desc.MediaType != sbom.MediaType {
			t.Errorf("descriptor %+v", desc)
		}
	}
	if got := all(t, r.Referrers(t.Context(), "acme/other", subject.Digest, "")); len(got) != 0 {
		t.Errorf("referrers in another image: %v", got)
	}
	// A subject that is not there yet has referrers too, and all of those that
	// come at once are kept (cosign #2432).
	later := ocispec.Descriptor{MediaType: subject.MediaType, Digest: digest.FromString("later"), Size: 5}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { attach(t, r, later, strings.Repeat("s", i+1), signType) })
	}
	wg.Wait()
	if got := referrers(t, r, later.Digest, ""); len(got) != 8 {
		t.Errorf("%d of 8 referrers kept", len(got))
	}
}

func testDeletion(t *testing.T, r registry.Registry) {
	absent := digest.FromString("absent")
	want(t, r.DeleteManifest(t.Context(), repo, absent), registry.CodeManifestUnknown)
	want(t, r.DeleteBlob(t.Context(), repo, absent), registry.CodeBlobUnknown)

	blob := PushBlob(t, r, repo, "", "a blob")
	if err := r.DeleteBlob(t.Context(), repo, blob.Digest); err != nil {
		t.Fatal(err)
	}
	wantNoBlob(t, r, repo, blob.Digest) // and no cache brings it back (CVE-2026-35172)
	PushBlob(t, r, repo, "", "a blob")

	subject := PushImage(t, r, repo, "subject", []string{"latest", "one"})
	sign := attach(t, r, subject, "sign", signType)
	deeper := attach(t, r, sign, "deeper", signType)
	named := strings.Replace(string(subject.Digest), ":", "-", 1) + ".sig"
	cosign := PushImage(t, r, repo, "cosign", []string{named})
	other := PushImage(t, r, repo, "other", []string{"other"})
	if err := r.DeleteManifest(t.Context(), repo, sign.Digest); err != nil {
		t.Fatal(err)
	}
	if got := referrers(t, r, subject.Digest, ""); len(got) != 0 {
		t.Errorf("deleted referrers list: %v", got)
	}
	attach(t, r, subject, "sign", signType)
	if err := r.DeleteManifest(t.Context(), repo, subject.Digest); err != nil {
		t.Fatal(err)
	}
	for _, d := range []ocispec.Descriptor{subject, sign, deeper, cosign} {
		wantNoManifest(t, r, repo, d.Digest)
	}
	for _, tag := range []string{"latest", "one", named} {
		wantNoTag(t, r, repo, tag)
	}
	wantTag(t, r, repo, "other", other)
	wantTag(t, r, repo, "latest", PushImage(t, r, repo, "subject", []string{"latest"})) // pushed again
}

func testRepositories(t *testing.T, r registry.Registry) {
	if got := all(t, r.Repositories(t.Context(), "")); len(got) != 0 {
		t.Errorf("an empty registry lists %q", got)
	}
	names := []string{"a", "a-b", "a.b", "a/b", "a/b-c", "a/b/c", "a0", "a__b", "ab", "b"} // in byte order
	for i := range names {
		PushImage(t, r, names[len(names)-1-i], "x", []string{"t"})
	}
	PushBlob(t, r, "only/blobs", "", "x")
	if got := all(t, r.Repositories(t.Context(), "")); !slices.Equal(got, names) {
		t.Errorf("repositories %q, want %q", got, names)
	}
	for i, name := range names {
		if got := all(t, r.Repositories(t.Context(), name)); !slices.Equal(got, names[i+1:]) {
			t.Errorf("after %q: %q, want %q", name, got, names[i+1:])
		}
	}
}

// testBadArguments: what is no name, tag or digest reaches no storage (CVE-2024-3727).
func testBadArguments(t *testing.T, r registry.Registry) {
	good := PushImage(t, r, repo, "x", []string{"latest"})
	hex := good.Digest.Encoded()
	for _, d := range []digest.Digest{"sha256:../../x", "sha256:" + digest.Digest(hex[1:]), "sha256:" + digest.Digest(strings.ToUpper(hex)), "md5:d41d8cd98f00b204e9800998ecf8427e"} {
		_, err := r.StatBlob(t.Context(), repo, d)
		want(t, err, registry.CodeDigestInvalid)
		_, err = r.OpenBlob(t.Context(), repo, d, 0, -1)
		want(t, err, registry.CodeDigestInvalid)
		_, _, err = r.Manifest(t.Context(), repo, d)
		want(t, err, registry.CodeDigestInvalid)
		want(t, r.PushBlob(t.Context(), repo, ocispec.Descriptor{Digest: d, Size: -1}, strings.NewReader("x")), registry.CodeDigestInvalid)
		_, err = r.MountBlob(t.Context(), repo, "acme/other", d)
		want(t, err, registry.CodeDigestInvalid)
		want(t, r.DeleteBlob(t.Context(), repo, d), registry.CodeDigestInvalid)
		want(t, r.DeleteManifest(t.Context(), repo, d), registry.CodeDigestInvalid)
		want(t, firstError(r.Referrers(t.Context(), repo, d, "")), registry.CodeDigestInvalid)
	}
	for _, name := range []string{"", "Acme/shop", "acme//shop", "../acme", "acme/..", "acme~shop", "acme/shop/", strings.Repeat("a", 201)} {
		_, err := r.StatBlob(t.Context(), name, good.Digest)
		want(t, err, registry.CodeNameInvalid)
		_, _, err = r.Manifest(t.Context(), name, good.Digest)
		want(t, err, registry.CodeNameInvalid)
		_, err = r.Tag(t.Context(), name, "latest")
		want(t, err, registry.CodeNameInvalid)
		_, err = r.StartUpload(t.Context(), name)
		want(t, err, registry.CodeNameInvalid)
		want(t, r.DeleteTag(t.Context(), name, "latest"), registry.CodeNameInvalid)
		want(t, firstError(r.Tags(t.Context(), name, "")), registry.CodeNameInvalid)
	}
	_, content, err := r.Manifest(t.Context(), repo, good.Digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"-x", ".x", "a/b", "a b", strings.Repeat("a", 129)} {
		want(t, pushErr(t.Context(), r, repo, registry.Manifest{MediaType: good.MediaType, Content: content, Tags: []string{tag}}), registry.CodeTagInvalid)
	}
}

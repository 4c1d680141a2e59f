package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/promotion"
	"kiln/registry/store/filestore"
	"kiln/sign"
)

// releases is a store in a folder that tests fill with versions, each with just
// the evidence that they want. Both doors, command line and API, are tried on
// copies of it.
type releases struct {
	*testing.T
	dir      string
	registry registry.Registry
	service  *promotion.Service
	bake     *sign.Signer // may bake acme/** and gamma/**
	old      *sign.Signer // might bake acme/** until a day ago
	other    *sign.Signer // may bake other/**
	promote  *sign.Signer // may promote acme/**, and gamma/** to dev
	ids      int
}

// newReleases makes the keys, in files of the folder, and the trust.
func newReleases(t *testing.T) *releases {
	t.Helper()
	r := &releases{T: t, dir: t.TempDir()}
	for name, key := range map[string]**sign.Signer{"bake": &r.bake, "old": &r.old, "other": &r.other, "promote": &r.promote} {
		if err := testKey(filepath.Join(r.dir, name), ""); err != nil {
			t.Fatal(err)
		}
		var err error
		if *key, err = sign.LoadSigner(t.Context(), filepath.Join(r.dir, name+".key"), func() ([]byte, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := filestore.Open(t.Context(), r.store(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	r.registry = contentstore.New(fs, fs.Pointers(), contentstore.Options{})
	r.service, err = promotion.New(promotion.Config{
		Store: fs, Pointers: fs.Pointers(), Registry: r.registry, Signer: r.promote, Policy: policy.Default(),
	})
	if err != nil {
		t.Fatal(err)
	}
	yesterday := time.Now().Add(-24 * time.Hour)
	for _, e := range []promotion.TrustRequest{
		{Role: promotion.RoleBake, Key: string(r.bake.PublicPEM()), Image: "{acme,gamma,beta}/**"},
		{Role: promotion.RoleBake, Key: string(r.old.PublicPEM()), Image: "acme/**", NotAfter: &yesterday},
		{Role: promotion.RoleBake, Key: string(r.other.PublicPEM()), Image: "other/**"},
		{Role: promotion.RolePromote, Key: string(r.promote.PublicPEM()), Image: "acme/**"},
		{Role: promotion.RolePromote, Key: string(r.promote.PublicPEM()), Image: "gamma/**", Channels: []string{"dev"}},
	} {
		if _, err := r.service.AddTrust(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func (r *releases) store() string { return filepath.Join(r.dir, "store") }

// copied is a copy of the store for one door.
func (r *releases) copied(name string) string {
	r.Helper()
	dir := filepath.Join(r.dir, name)
	if err := os.CopyFS(dir, os.DirFS(r.store())); err != nil {
		r.Fatal(err)
	}
	return dir
}

// release says what is attached to a version; without changes, all that the
// built-in policy asks of an app.
type release struct {
	image    string // whose version it is
	says     string // the image that its provenance names, "" for the same
	tier     string // app
	key      *sign.Signer
	base     string // IMAGE@DIGEST that the provenance names as the parent
	unsigned bool
	untagged bool
	without  []string // rules whose evidence is left out
	results  string   // of its test
	secrets  string   // result of its scan
	sbom     any
}

// made stores a version and returns its digest.
func (r *releases) made(v release) digest.Digest {
	r.Helper()
	if v.key == nil {
		v.key = r.bake
	}
	desc := r.pushed(v.image)
	ev := evidence{r.registry}
	if !v.unsigned {
		if err := v.key.SignImage(r.Context(), ev, v.image, desc); err != nil {
			r.Fatal(err)
		}
	}
	for _, a := range []struct {
		rule, predicate string
		document        any
	}{
		{"provenance", sign.ProvenancePredicate, v.provenance()},
		{"sbom", sign.SPDXPredicate, v.bill()},
		{"tests", sign.TestPredicate, testDocument(firstOf(v.results, "PASSED"), "healthy", "tests")},
		{"scan", sign.TestPredicate, testDocument(firstOf(v.secrets, "PASSED"), "secrets", "secret-scan")},
	} {
		if strings.Contains(strings.Join(v.without, " "), a.rule) {
			continue
		}
		if _, err := v.key.Attest(r.Context(), ev, v.image, desc, a.predicate, a.document); err != nil {
			r.Fatal(err)
		}
	}
	if !v.untagged {
		r.tagged(v.image, desc)
	}
	return desc.Digest
}

func (v release) provenance() any {
	deps := []any{map[string]any{"name": "source", "uri": "git+https://example.com/shop", "digest": map[string]string{"gitCommit": strings.Repeat("a", 40)}}}
	if _, hex, ok := strings.Cut(v.base, "@sha256:"); ok {
		deps = append(deps, map[string]any{"name": "parent", "uri": v.base, "digest": map[string]string{"sha256": hex}})
	}
	return map[string]any{
		"buildDefinition": map[string]any{
			"buildType": "urn:kiln:bake:v1", "resolvedDependencies": deps,
			"externalParameters": map[string]any{"image": firstOf(v.says, v.image), "tier": firstOf(v.tier, "app")},
			"internalParameters": map[string]any{"network": "none", "dirty": false},
		},
		"runDetails": map[string]any{"builder": map[string]any{"id": "https://example.com/builder"}},
	}
}

func (v release) bill() any {
	if v.sbom != nil {
		return v.sbom
	}
	return map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": v.image,
		"documentNamespace": "https://example.com/" + v.image, "packages": []any{},
		"creationInfo": map[string]any{"created": "2026-03-01T12:00:00Z", "creators": []string{"Tool: test"}},
	}
}

func testDocument(result, name, configuration string) any {
	list := "passedTests"
	if result != "PASSED" {
		list = "failedTests"
	}
	return map[string]any{"result": result, list: []string{name}, "configuration": []any{map[string]any{"name": configuration}}}
}

// pushed stores a manifest like no other, without a tag.
func (r *releases) pushed(image string) ocispec.Descriptor {
	r.Helper()
	r.ids++
	blob := func(mediaType, content string) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
		if err := r.registry.PushBlob(r.Context(), image, d, strings.NewReader(content)); err != nil {
			r.Fatal(err)
		}
		return d
	}
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: blob(ocispec.MediaTypeImageConfig, `{"os":"linux","architecture":"amd64","config":{}}`),
		Layers: []ocispec.Descriptor{blob(ocispec.MediaTypeImageLayer, fmt.Sprint("layer ", r.ids))},
	})
	if err != nil {
		r.Fatal(err)
	}
	return r.manifest(image, content)
}

func (r *releases) manifest(image string, content []byte, tags ...string) ocispec.Descriptor {
	r.Helper()
	desc, err := r.registry.PushManifest(r.Context(), image, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: content, Tags: tags})
	if err != nil {
		r.Fatal(err)
	}
	return desc
}

// tagged makes what is stored a version.
func (r *releases) tagged(image string, desc ocispec.Descriptor) {
	r.Helper()
	_, content, err := r.registry.Manifest(r.Context(), image, desc.Digest)
	if err != nil {
		r.Fatal(err)
	}
	at := time.Date(2026, 3, 1, 12, 0, r.ids, 0, time.UTC)
	r.manifest(image, content, at.Format("20060102T150405Z")+"-0123456789ab")
}

// moved promotes to channels, as the store's policy allows.
func (r *releases) moved(image string, d digest.Digest, channels ...string) digest.Digest {
	r.Helper()
	for _, c := range channels {
		if _, err := r.service.Promote(r.Context(), promotion.PromoteRequest{Image: image, Digest: d, Channel: c}); err != nil {
			r.Fatal(err)
		}
	}
	return d
}

// revoked revokes, from a time on if it is not zero.
func (r *releases) revoked(image string, d digest.Digest, at time.Time) {
	r.Helper()
	req := promotion.RevokeRequest{Image: image, Digest: d, Reason: "it leaks"}
	if !at.IsZero() {
		req.At = &at
	}
	if _, err := r.service.Revoke(r.Context(), req); err != nil {
		r.Fatal(err)
	}
}

// attestations are the digests of the bundles of a type.
func (r *releases) attestations(image string, d digest.Digest, predicateType string) []digest.Digest {
	r.Helper()
	var list []digest.Digest
	for desc, err := range r.registry.Referrers(r.Context(), image, d, sign.BundleMediaType) {
		if err != nil {
			r.Fatal(err)
		}
		if desc.Annotations["dev.sigstore.bundle.predicateType"] == predicateType {
			list = append(list, desc.Digest)
		}
	}
	return list
}

// moveEvidence attaches the provenance of one version to another one.
func (r *releases) moveEvidence(image string, from, to digest.Digest) {
	r.Helper()
	for _, d := range r.attestations(image, from, sign.ProvenancePredicate) {
		_, content, err := r.registry.Manifest(r.Context(), image, d)
		if err != nil {
			r.Fatal(err)
		}
		r.manifest(image, bytes.ReplaceAll(content, []byte(from), []byte(to)))
	}
}

// damage changes the stored bytes of the bundle that holds a version's
// provenance.
func (r *releases) damage(image string, d digest.Digest) {
	r.Helper()
	_, content, err := r.registry.Manifest(r.Context(), image, r.attestations(image, d, sign.ProvenancePredicate)[0])
	if err != nil {
		r.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		r.Fatal(err)
	}
	hex := m.Layers[0].Digest.Encoded()
	path := filepath.Join(r.store(), "blobs", "sha256", hex[:2], hex)
	bundle, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	bundle[len(bundle)/2] ^= 1
	if err := os.Chmod(path, 0o600); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(path, bundle, 0o600); err != nil {
		r.Fatal(err)
	}
}

// evidence lets sign write to a registry.
type evidence struct{ registry.Registry }

func (e evidence) PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	m := registry.Manifest{MediaType: mediaType, Content: content}
	if tag != "" {
		m.Tags = []string{tag}
	}
	return e.PushManifest(ctx, repo, m)
}

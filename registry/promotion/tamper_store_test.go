package promotion

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"testing"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tamperedContent are other bytes under a digest, in the store.
func tamperedContent() []tampered {
	manifest := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.a, change) }
	}
	layer := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.a).Layers[0].Digest, change) }
	}
	config := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.a).Config.Digest, change) }
	}
	other := func(v *victim) { // the bytes of another version, whole
		_, content, err := v.registry.Manifest(v.Context(), shop, v.b)
		if err != nil {
			v.Fatal(err)
		}
		v.blob(v.a, func([]byte) []byte { return content })
	}
	damaged := kind(KindVerification)
	return []tampered{
		{"manifest, first byte", manifest(flipped(first)), resolves, damaged, "do not match"},
		{"manifest, a byte in the middle", manifest(flipped(middle)), resolves, damaged, "do not match"},
		{"manifest, last byte", manifest(flipped(last)), resolves, damaged, "do not match"},
		{"manifest cut", manifest(cut), resolves, damaged, "do not match"},
		{"manifest grown", manifest(grown), resolves, damaged, "do not match"},
		{"manifest of another version", other, resolves, damaged, "do not match"},
		{"manifest as a deployer pulls it", other, answers, damaged, "do not match"},
		{"manifest before a promotion", manifest(flipped(middle)), promotes, damaged, "do not match"},
		{"layer, first byte", layer(flipped(first)), pulls, damaged, "digest"},
		{"layer cut", layer(cut), pulls, damaged, "content has digest"},
		{"layer grown", layer(grown), pulls, damaged, "content has digest"},
		{"layer of another version", func(v *victim) {
			v.blob(v.manifest(v.a).Layers[0].Digest, func([]byte) []byte { return []byte("b") })
		}, pulls, damaged, "digest"},
		{"config, a byte in the middle", config(flipped(middle)), resolves, damaged, "content has digest"},
		{"config for another machine", config(replaced("amd64", "arm64")), resolves, damaged, "content has digest"},
		{"config as it is pulled", config(replaced("{}", `{"Entrypoint":["/evil"]}`)), pulls, damaged, "content has digest"},
	}
}

// tamperedEvidence is what lies beside the image in the store.
func tamperedEvidence() []tampered {
	invalid, unsigned, damaged := is(sign.ErrInvalid), is(sign.ErrUnsigned), kind(KindVerification)
	bundle := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.referrer(sign.ProvenancePredicate)).Layers[0].Digest, change) }
	}
	referrer := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.referrer(sign.ProvenancePredicate), change) }
	}
	provenance := attested(sign.ProvenancePredicate)
	return []tampered{
		{"bundle, first byte", bundle(flipped(first)), provenance, damaged, "content has digest"},
		{"bundle, a byte in the middle", bundle(flipped(middle)), provenance, damaged, "content has digest"},
		{"bundle, last byte", bundle(flipped(last)), provenance, damaged, "content has digest"},
		{"bundle cut", bundle(cut), provenance, damaged, "content has digest"},
		{"bundle grown", bundle(grown), provenance, invalid, "not of"},
		{"manifest of a bundle", referrer(flipped(middle)), provenance, damaged, "content has digest"},
		{"manifest of a bundle without a subject", referrer(func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"subject"`), []byte(`"Subject"`), 1)
		}), provenance, damaged, "content has digest"},
		{"signatures gone", func(v *victim) { v.unsign() }, signed, unsigned, "no signature"},
		{"signatures gone, before a promotion", func(v *victim) { v.unsign() }, promotes, kind(KindDenied), "signature"},
		{"signatures by whom nobody trusts", func(v *victim) { v.unsign(); v.sign(v.nobody, shop, v.described(v.a)) }, signed, invalid, "known key"},
		{"signatures by the promotion key", func(v *victim) { v.unsign(); v.sign(v.promote, shop, v.described(v.a)) }, promotes, kind(KindDenied), "signature"},
		{"signatures moved from acme/toolbox", func(v *victim) { v.unsign(); v.move(sign.SignaturePredicate) }, signed, invalid, `about image "acme/toolbox"`},
		{"provenance by the promotion key", func(v *victim) {
			v.strip(sign.ProvenancePredicate)
			v.attest(v.promote, shop, v.described(v.a), sign.ProvenancePredicate, provenanceOf(shop, "app"))
		}, promotes, kind(KindDenied), "provenance"},
		{"provenance by an approver", func(v *victim) {
			v.strip(sign.ProvenancePredicate)
			v.attest(v.stranger, shop, v.described(v.a), sign.ProvenancePredicate, provenanceOf(shop, "app"))
		}, promotes, kind(KindDenied), "provenance"},
		{"provenance of another image", func(v *victim) {
			v.strip(sign.ProvenancePredicate)
			v.attest(v.bake, shop, v.described(v.a), sign.ProvenancePredicate, provenanceOf("acme/toolbox", "app"))
		}, promotes, kind(KindDenied), "acme/toolbox"},
		{"evidence of acme/toolbox moved to acme/shop", func(v *victim) {
			v.unsign()
			for _, p := range []string{sign.SignaturePredicate, sign.ProvenancePredicate, sign.SPDXPredicate, sign.TestPredicate} {
				v.strip(p)
				v.move(p)
			}
		}, promotes, kind(KindDenied), "signature"},
		{"SBOM as provenance", func(v *victim) { v.relabel(sign.SPDXPredicate, sign.ProvenancePredicate) }, provenance, invalid, "predicate type"},
		{"SBOM by a stranger", func(v *victim) {
			v.strip(sign.SPDXPredicate)
			v.attest(v.nobody, shop, v.described(v.a), sign.SPDXPredicate, sbomOf("openssl 3.0.11"))
		}, promotes, kind(KindDenied), "sbom"},
		{"SBOM of another form than its type", func(v *victim) {
			v.strip(sign.SPDXPredicate)
			v.attest(v.bake, shop, v.described(v.a), sign.SPDXPredicate, map[string]any{"bomFormat": "CycloneDX"})
		}, promotes, kind(KindDenied), "sbom"},
		{"SBOM of another version", func(v *victim) {
			v.strip(sign.SPDXPredicate)
			v.attest(v.bake, shop, v.described(v.b), sign.SPDXPredicate, sbomOf("curl 8"))
			v.moveFrom(shop, v.b, sign.SPDXPredicate)
		}, attested(sign.SPDXPredicate), invalid, "another digest"},
		{"tests by a stranger", func(v *victim) {
			v.strip(sign.TestPredicate)
			v.attest(v.nobody, shop, v.described(v.a), sign.TestPredicate, map[string]any{"result": "PASSED"})
		}, promotes, kind(KindDenied), "test"},
		{"a summary by the bake key", func(v *victim) {
			v.strip(sign.SummaryPredicate)
			v.attest(v.bake, shop, v.described(v.a), sign.SummaryPredicate, map[string]any{"verificationResult": "PASSED"})
		}, func(v *victim) error {
			_, err := v.promote.Verifier().Attestations(v.Context(), v.registry, shop, v.a, sign.SummaryPredicate)
			return err
		}, invalid, "known key"},
	}
}

// strip removes all evidence of a type about a.
func (v *victim) strip(predicateType string) {
	v.Helper()
	for desc, err := range v.registry.Referrers(v.Context(), shop, v.a, sign.BundleMediaType) {
		if err != nil {
			v.Fatal(err)
		}
		if desc.Annotations[predicateAnnotation] == predicateType {
			v.drop(desc.Digest)
		}
	}
}

func (v *victim) drop(d digest.Digest) {
	v.Helper()
	if err := v.registry.DeleteManifest(v.Context(), shop, d); err != nil {
		v.Fatal(err)
	}
}

// unsign removes the signatures of a, in both layouts.
func (v *victim) unsign() {
	v.Helper()
	v.strip(sign.SignaturePredicate)
	desc, err := v.registry.Tag(v.Context(), shop, "sha256-"+v.a.Encoded()+".sig")
	if err != nil {
		v.Fatal(err)
	}
	v.drop(desc.Digest)
}

// move attaches to a what is attached to the version of acme/toolbox.
func (v *victim) move(predicateType string) { v.moveFrom("acme/toolbox", v.tool, predicateType) }

func (v *victim) moveFrom(image string, d digest.Digest, predicateType string) {
	v.Helper()
	for desc, err := range v.registry.Referrers(v.Context(), image, d, sign.BundleMediaType) {
		if err != nil {
			v.Fatal(err)
		}
		if desc.Annotations[predicateAnnotation] == predicateType {
			v.reattach(image, desc.Digest, predicateType)
		}
	}
}

// relabel attaches again what is of a type, as of another, and removes what was.
func (v *victim) relabel(from, to string) {
	v.Helper()
	d := v.referrer(from)
	v.strip(to)
	v.reattach(shop, d, to)
}

// reattach makes evidence that lies somewhere a referrer of a.
func (v *victim) reattach(image string, d digest.Digest, predicateType string) {
	v.Helper()
	_, content, err := v.registry.Manifest(v.Context(), image, d)
	if err != nil {
		v.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		v.Fatal(err)
	}
	for _, desc := range append(slices.Clone(m.Layers), m.Config) {
		r, err := v.registry.OpenBlob(v.Context(), image, desc.Digest, 0, -1)
		if err != nil {
			v.Fatal(err)
		}
		defer r.Close()
		v.push(shop, readAll(v, r))
	}
	subject := v.described(v.a)
	m.Subject = &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	m.Annotations[predicateAnnotation] = predicateType
	content, err = json.Marshal(m)
	if err == nil {
		_, err = v.registry.PushManifest(v.Context(), shop, registry.Manifest{MediaType: m.MediaType, Content: content})
	}
	if err != nil {
		v.Fatal(err)
	}
}

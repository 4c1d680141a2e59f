package sign

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// forger writes evidence by hand, with a trusted key at hand or without.
type forger struct {
	t       *testing.T
	ev      *memory
	trusted *Signer
	img     ocispec.Descriptor
}

func newForger(t *testing.T) *forger {
	return &forger{t: t, ev: newMemory(), trusted: testSigner(t), img: imageOf("one")}
}

func (f *forger) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// tag puts one signature under the tag: sig over payload.
func (f *forger) tag(payload, sig []byte, change func(*ocispec.Manifest)) {
	f.t.Helper()
	ctx := context.Background()
	desc, err := pushBlob(ctx, f.ev, shop, simpleSigningMediaType, payload)
	f.must(err)
	desc.Annotations = map[string]string{signatureAnnotation: base64.StdEncoding.EncodeToString(sig)}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{desc}}
	if change != nil {
		change(&m)
	}
	_, err = pushManifest(ctx, f.ev, shop, m, signatureLayout().tag(f.img.Digest))
	f.must(err)
}

// signed is a payload about image and d with the trusted key's signature.
func (f *forger) signed(image string, d digest.Digest) (payload, sig []byte) {
	f.t.Helper()
	payload, err := encodePayload(image, d)
	f.must(err)
	return payload, f.sign(payload)
}

func (f *forger) sign(message []byte) []byte {
	f.t.Helper()
	sig, err := f.trusted.sign(context.Background(), message)
	f.must(err)
	return sig
}

// bundle is a bundle with the trusted key's signature, its JSON changed.
func (f *forger) bundle(st Statement, change func(map[string]any)) []byte {
	f.t.Helper()
	content, err := f.trusted.bundle(context.Background(), st, maxBundle)
	f.must(err)
	if change == nil {
		return content
	}
	var object map[string]any
	f.must(json.Unmarshal(content, &object))
	change(object)
	content, err = json.Marshal(object)
	f.must(err)
	return content
}

// refer attaches a bundle as a referrer of f.img, its manifest changed.
func (f *forger) refer(bundle []byte, predicateType string, change func(*ocispec.Manifest)) {
	f.t.Helper()
	ctx := context.Background()
	layer, err := pushBlob(ctx, f.ev, shop, BundleMediaType, bundle)
	f.must(err)
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: BundleMediaType, Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{layer},
		Subject: bare(f.img), Annotations: map[string]string{predicateAnnotation: predicateType}}
	if change != nil {
		change(&m)
	}
	content, err := json.Marshal(m)
	f.must(err)
	desc := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(content), Size: int64(len(content)),
		ArtifactType: BundleMediaType, Annotations: m.Annotations}
	f.ev.manifests[at(shop, desc.Digest.String())] = content
	key := at(shop, f.img.Digest.String()) // listed there whatever the manifest says
	f.ev.refs[key] = append(f.ev.refs[key], desc)
}

// about is a good statement, changed.
func (f *forger) about(predicateType string, change func(*Statement)) Statement {
	st := Statement{Subject: Subject{shop, f.img.Digest}, PredicateType: predicateType, Predicate: json.RawMessage(`{"a":1}`)}
	if change != nil {
		change(&st)
	}
	return st
}

// payload is a bundle whose payload is not a statement that kiln would write.
func (f *forger) payload(payload string) []byte {
	sig, err := f.trusted.signDSSE(context.Background(), []byte(payload))
	f.must(err)
	return f.bundle(f.about(SPDXPredicate, nil), func(b map[string]any) {
		envelope := b["dsseEnvelope"].(map[string]any)
		envelope["payload"] = base64.StdEncoding.EncodeToString([]byte(payload))
		envelope["signatures"] = []any{map[string]any{"sig": base64.StdEncoding.EncodeToString(sig)}}
	})
}

// TestForgedSignatures: nothing here verifies, for the reason it should not.
func TestForgedSignatures(t *testing.T) {
	other := imageOf("two").Digest
	cases := map[string]struct {
		forge func(*forger)
		want  string
	}{
		"another image's name": {func(f *forger) {
			p, s := f.signed("acme/other", f.img.Digest)
			f.tag(p, s, nil)
		}, `about image "acme/other"`},
		"another name with a host": {func(f *forger) {
			p, s := f.signed("example.com/acme/toolbox", f.img.Digest)
			f.tag(p, s, nil)
		}, `about image "example.com/acme/toolbox"`},
		"no name": {func(f *forger) {
			p, s := f.signed("", f.img.Digest)
			f.tag(p, s, nil)
		}, `names no image`},
		"another digest": {func(f *forger) {
			p, s := f.signed(shop, other)
			f.tag(p, s, nil)
		}, "signature for"},
		"payload changed after signing": {func(f *forger) {
			p, s := f.signed(shop, other)
			f.tag(bytes.ReplaceAll(p, []byte(other), []byte(f.img.Digest)), s, nil)
		}, "known key"},
		"payload of another type": {func(f *forger) {
			p := []byte(`{"critical":{"identity":{"docker-reference":"` + shop + `"},"image":{"docker-manifest-digest":"` + f.img.Digest.String() + `"},"type":"atomic container signature"}}`)
			f.tag(p, f.sign(p), nil)
		}, "payload of type"},
		"payload with two digests": {func(f *forger) {
			p, _ := f.signed(shop, f.img.Digest)
			p = bytes.Replace(p, []byte(`"docker-manifest-digest":`), []byte(`"docker-manifest-digest":"`+other+`","docker-manifest-digest":`), 1)
			f.tag(p, f.sign(p), nil)
		}, "there twice"},
		"payload with another digest in capitals": {func(f *forger) {
			p, _ := f.signed(shop, f.img.Digest)
			p = bytes.Replace(p, []byte(`"docker-manifest-digest":`), []byte(`"Docker-Manifest-Digest":"`+other+`","docker-manifest-digest":`), 1)
			f.tag(p, f.sign(p), nil)
		}, "there twice"},
		"payload is not JSON": {func(f *forger) { f.tag([]byte("{"), f.sign([]byte("{")), nil) }, "signature payload"},
		"giant payload": {func(f *forger) {
			p := bytes.Repeat([]byte(" "), maxPayload+1)
			f.tag(p, f.sign(p), nil)
		}, "at most"},
		"size understated": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.Layers[0].Size-- })
		}, "not of"},
		"negative size": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.Layers[0].Size = -1 })
		}, "at most"},
		"other bytes in the blob": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) {
				f.ev.blobs[at(shop, m.Layers[0].Digest.String())] = bytes.ToUpper(p)
			})
		}, "have the digest"},
		"blob gone": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { delete(f.ev.blobs, at(shop, m.Layers[0].Digest.String())) })
		}, "not exist"},
		"blob digest is a path": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../etc" })
		}, "invalid"},
		"media type of the payload": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.Layers[0].MediaType = ocispec.MediaTypeImageLayer })
		}, "media type"},
		"media type of the manifest": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.MediaType = ocispec.MediaTypeImageIndex })
		}, "media type"},
		"no signature annotation": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.Layers[0].Annotations = nil })
		}, "signature of 0 bytes"},
		"signature is not base64": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) { m.Layers[0].Annotations[signatureAnnotation] = "!" })
		}, "annotation"},
		"giant signature": {func(f *forger) {
			p, _ := f.signed(shop, f.img.Digest)
			f.tag(p, make([]byte, maxSignatureBytes+1), nil)
		}, "signature of"},
		"endless signatures": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) {
				for len(m.Layers) <= maxCandidates {
					m.Layers = append(m.Layers, m.Layers[0])
				}
			})
		}, "at most"},
		"other bytes in the manifest": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, nil)
			d := f.ev.tags[at(shop, signatureLayout().tag(f.img.Digest))].Digest
			f.ev.manifests[at(shop, d.String())] = []byte("{}")
		}, "have the digest"},
		"giant manifest": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, func(m *ocispec.Manifest) {
				m.Annotations = map[string]string{"a": strings.Repeat("a", maxManifest)}
			})
		}, "at most"},
		"manifest gone": {func(f *forger) {
			p, s := f.signed(shop, f.img.Digest)
			f.tag(p, s, nil)
			clear(f.ev.manifests)
		}, "not exist"},
		"an attestation only": {func(f *forger) {
			f.refer(f.bundle(f.about(SPDXPredicate, nil), nil), SignaturePredicate, nil)
		}, "predicate type"},
		"a signature bundle for another image": {func(f *forger) {
			f.refer(f.bundle(f.about(SignaturePredicate, func(s *Statement) { s.Subject.Name = "acme/other" }), nil), SignaturePredicate, nil)
		}, `about image "acme/other"`},
		"a signature bundle for another digest": {func(f *forger) {
			f.refer(f.bundle(f.about(SignaturePredicate, func(s *Statement) { s.Subject.Digest = other }), nil), SignaturePredicate, nil)
		}, "another digest"},
		"a giant signature bundle": {func(f *forger) {
			st := f.about(SignaturePredicate, func(s *Statement) {
				s.Predicate = json.RawMessage(`{"a":"` + strings.Repeat("a", maxPayload) + `"}`)
			})
			f.refer(f.bundle(st, nil), SignaturePredicate, nil)
		}, "at most"},
		"an envelope as payload": {func(f *forger) { // a signature over a statement is none over a payload
			p, _ := f.signed(shop, f.img.Digest)
			sig, err := f.trusted.signDSSE(context.Background(), p)
			f.must(err)
			f.tag(p, sig, nil)
		}, "known key"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			f := newForger(t)
			c.forge(f)
			got, err := f.trusted.Verifier().VerifyImage(context.Background(), f.ev, shop, f.img.Digest)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %+v, %v; want %q", got, err, c.want)
			}
		})
	}
}

// TestForgedAttestations: the same for bundles of a predicate type.
func TestForgedAttestations(t *testing.T) {
	other := imageOf("two").Digest
	envelope := func(b map[string]any) map[string]any { return b["dsseEnvelope"].(map[string]any) }
	// A good bundle in a wrong manifest, or a wrong bundle in a good one.
	manifest := func(change func(*ocispec.Manifest)) func(*forger) {
		return func(f *forger) { f.refer(f.bundle(f.about(SPDXPredicate, nil), nil), SPDXPredicate, change) }
	}
	bundle := func(change func(map[string]any)) func(*forger) {
		return func(f *forger) { f.refer(f.bundle(f.about(SPDXPredicate, nil), change), SPDXPredicate, nil) }
	}
	statement := func(change func(*Statement)) func(*forger) {
		return func(f *forger) { f.refer(f.bundle(f.about(SPDXPredicate, change), nil), SPDXPredicate, nil) }
	}
	payload := func(p string) func(*forger) {
		return func(f *forger) {
			f.refer(f.payload(strings.ReplaceAll(p, "HEX", f.img.Digest.Encoded())), SPDXPredicate, nil)
		}
	}
	// By hand, but for the changes below, it verifies.
	f := newForger(t)
	payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{"http_proxy":1,"HTTP_PROXY":2}}`)(f)
	if _, err := f.trusted.Verifier().Attestations(context.Background(), f.ev, shop, f.img.Digest, SPDXPredicate); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		forge func(*forger)
		want  string
	}{
		"another predicate type":     {statement(func(s *Statement) { s.PredicateType = ProvenancePredicate }), "predicate type"},
		"moved from another image":   {statement(func(s *Statement) { s.Subject.Name = "acme/other" }), "about image"},
		"moved from another digest":  {statement(func(s *Statement) { s.Subject.Digest = other }), "another digest"},
		"a predicate that is a list": {statement(func(s *Statement) { s.Predicate = json.RawMessage(`[]`) }), "not a JSON object"},
		"no predicate":               {statement(func(s *Statement) { s.Predicate = nil }), "not a JSON object"},
		"subject of the referrer":    {manifest(func(m *ocispec.Manifest) { m.Subject.Digest = other }), "is not of"},
		"no subject":                 {manifest(func(m *ocispec.Manifest) { m.Subject = nil }), "is not of"},
		"artifact type":              {manifest(func(m *ocispec.Manifest) { m.ArtifactType = "text/spdx" }), "artifact type"},
		"two layers":                 {manifest(func(m *ocispec.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) }), "one bundle"},
		"no layer":                   {manifest(func(m *ocispec.Manifest) { m.Layers = nil }), "one bundle"},
		"media type of the layer":    {manifest(func(m *ocispec.Manifest) { m.Layers[0].MediaType = "application/json" }), "one bundle"},
		"giant layer":                {manifest(func(m *ocispec.Manifest) { m.Layers[0].Size = maxBundle + 1 }), "at most"},
		"media type of the bundle": {bundle(func(b map[string]any) {
			b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.1"
		}), "media type"},
		"payload type": {bundle(func(b map[string]any) { envelope(b)["payloadType"] = "text/plain" }), "payload type"},
		"payload changed": {bundle(func(b map[string]any) {
			envelope(b)["payload"] = base64.StdEncoding.EncodeToString([]byte("{}"))
		}), "known key"},
		"no signatures": {bundle(func(b map[string]any) { envelope(b)["signatures"] = []any{} }), "0 signatures"},
		"two signatures": {bundle(func(b map[string]any) {
			envelope(b)["signatures"] = append(envelope(b)["signatures"].([]any), map[string]any{"sig": "AAAA"})
		}), "2 signatures"},
		"signature of another kind": {bundle(func(b map[string]any) {
			delete(b, "dsseEnvelope")
			b["messageSignature"] = map[string]any{"signature": "AAAA"}
		}), "no DSSE envelope"},
		"a certificate for a key": {bundle(func(b map[string]any) {
			b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": "AAAA"}}
		}), "no identity is trusted"},
		"no key":              {bundle(func(b map[string]any) { delete(b, "verificationMaterial") }), "names no public key"},
		"unknown field":       {bundle(func(b map[string]any) { b["trust"] = "me" }), "unknown field"},
		"not a bundle":        {func(f *forger) { f.refer([]byte("null"), SPDXPredicate, nil) }, "bundle"},
		"a stranger's key":    {func(f *forger) { f.refer(f.strangers(), SPDXPredicate, nil) }, "known key"},
		"payload is not JSON": {payload(`{`), "statement"},
		"two subjects": {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}},
			{"name":"acme/other","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "2 subjects"},
		"no subject in the statement":          {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "0 subjects"},
		"no digest":                            {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop"}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "another digest"},
		"no image":                             {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "names no image"},
		"another statement type":               {payload(`{"_type":"https://in-toto.io/Statement/v9","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "statement of type"},
		"another algorithm only":               {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha512":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "another digest"},
		"two lists of subjects":                {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/other","digest":{"sha256":"00"}}],"subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "there twice"},
		"another list of subjects in capitals": {payload(`{"_type":"https://in-toto.io/Statement/v1","Subject":[{"name":"acme/other","digest":{"sha256":"00"}}],"subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "is not"},
		"subjects in capitals only":            {payload(`{"_type":"https://in-toto.io/Statement/v1","SUBJECT":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "is not"},
		"two names":                            {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/other","name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "there twice"},
		"another name in capitals":             {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"Name":"acme/other","name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "is not"},
		"two sha256":                           {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"00","sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "there twice"},
		"another digest in capitals":           {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","Digest":{"sha256":"00"},"digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "is not"},
		"two predicate types":                  {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://example.com/other","predicateType":"https://spdx.dev/Document","predicate":{}}`), "there twice"},
		"two predicates":                       {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{"a":1},"predicate":{}}`), "there twice"},
		"a name twice in the predicate":        {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{"a":[{"b":1,"b":2}]}}`), "there twice"},
		"a name twice, once escaped":           {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"n\u0061me":"acme/other","name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "there twice"},
		"a second statement after it":          {payload(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"acme/shop","digest":{"sha256":"HEX"}}],"predicateType":"https://spdx.dev/Document","predicate":{}}`), "statement"},
		"endless attestations": {func(f *forger) {
			for range maxCandidates + 1 {
				f.refer(f.strangers(), SPDXPredicate, nil)
			}
		}, "more than"},
		"unlabelled, of another type": {func(f *forger) {
			f.refer(f.bundle(f.about(ProvenancePredicate, nil), nil), "", func(m *ocispec.Manifest) { m.Annotations = nil })
		}, "predicate type"},
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			f := newForger(t)
			c.forge(f)
			got, err := f.trusted.Verifier().Attestations(context.Background(), f.ev, shop, f.img.Digest, SPDXPredicate)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %d attestations, %v; want %q", len(got), err, c.want)
			}
		})
	}
}

// strangers is a good bundle by a key that nobody trusts.
func (f *forger) strangers() []byte {
	content, err := testSigner(f.t).bundle(context.Background(), f.about(SPDXPredicate, nil), maxBundle)
	f.must(err)
	return content
}

// Forgeries beside a good signature do not count, and do not take it away.
func TestForgeriesBesideTheRealOne(t *testing.T) {
	ctx, f := context.Background(), newForger(t)
	p, s := f.signed("acme/other", f.img.Digest)
	f.tag(p, s, nil)
	f.refer(f.strangers(), SPDXPredicate, nil)
	f.refer([]byte("junk"), SignaturePredicate, nil)
	f.must(f.trusted.SignImage(ctx, f.ev, shop, f.img))
	_, err := f.trusted.Attest(ctx, f.ev, shop, f.img, SPDXPredicate, map[string]int{"a": 1})
	f.must(err)
	signatures, err := f.trusted.Verifier().VerifyImage(ctx, f.ev, shop, f.img.Digest)
	if err != nil || len(signatures) != 2 {
		t.Errorf("signatures %+v, %v", signatures, err)
	}
	attestations, err := f.trusted.Verifier().Attestations(ctx, f.ev, shop, f.img.Digest, SPDXPredicate)
	if err != nil || len(attestations) != 1 || string(attestations[0].Predicate) != `{"a":1}` {
		t.Errorf("attestations %+v, %v", attestations, err)
	}
}

// A good image's evidence, whole, says nothing about another repository's
// image of the same digest, nor about another digest of its own.
func TestEvidenceCopiedElsewhere(t *testing.T) {
	ctx, f := context.Background(), newForger(t)
	f.must(f.trusted.SignImage(ctx, f.ev, shop, f.img))
	_, err := f.trusted.Attest(ctx, f.ev, shop, f.img, SPDXPredicate, struct{}{})
	f.must(err)
	v, two := f.trusted.Verifier(), imageOf("two").Digest
	for _, from := range []map[string][]byte{f.ev.blobs, f.ev.manifests} {
		for key, content := range maps.Clone(from) {
			from[strings.Replace(key, shop, "acme/evil", 1)] = content
		}
	}
	for _, repo := range []string{shop, "acme/evil"} {
		for _, d := range []digest.Digest{f.img.Digest, two} {
			f.ev.tags[at(repo, signatureLayout().tag(d))] = f.ev.tags[at(shop, signatureLayout().tag(f.img.Digest))]
			f.ev.refs[at(repo, d.String())] = f.ev.refs[at(shop, f.img.Digest.String())]
			_, err := v.VerifyImage(ctx, f.ev, repo, d)
			_, attErr := v.Attestations(ctx, f.ev, repo, d, SPDXPredicate)
			if good := repo == shop && d == f.img.Digest; good {
				f.must(errors.Join(err, attErr))
			} else if !errors.Is(err, ErrInvalid) || !errors.Is(attErr, ErrInvalid) {
				t.Errorf("%s@%s: %v; %v", repo, d, err, attErr)
			}
		}
	}
}

package sign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

func TestNames(t *testing.T) {
	strict, lax := &Verifier{}, &Verifier{nameless: true}
	for _, c := range []struct {
		said, image   string
		signature     bool
		strictly, lax bool
	}{
		{shop, shop, true, true, true},
		{"registry.example.com/acme/shop", shop, true, true, true},
		{"127.0.0.1:5000/acme/shop", shop, false, true, true},
		{"localhost/acme/shop", shop, false, true, true},
		{"", shop, true, false, true},
		{"", shop, false, false, false},
		{"acme/toolbox", shop, true, false, false},
		{"registry.example.com/acme/toolbox", shop, true, false, false},
		{"other/acme/shop", shop, true, false, false},
		{"a.example.com/b.example.com/acme/shop", shop, true, false, false},
		{"shop", shop, true, false, false},
		{"acme/shop:prod", shop, true, false, false},
	} {
		for v, want := range map[*Verifier]bool{strict: c.strictly, lax: c.lax} {
			if err := v.checkName("signature", c.said, c.image, c.signature); (err == nil) != want {
				t.Errorf("%q for %q, nameless %v: %v", c.said, c.image, v.nameless, err)
			}
		}
	}
}

// A signature that names no image counts only where that was asked for, and
// one that names another never does.
func TestNamelessSignatures(t *testing.T) {
	ctx, f := context.Background(), newForger(t)
	f.refer(f.bundle(f.about(SignaturePredicate, nil), nil), SignaturePredicate, nil)
	const toolbox = "acme/toolbox"
	f.ev.refs[at(toolbox, f.img.Digest.String())] = f.ev.refs[at(shop, f.img.Digest.String())]
	for key, content := range f.ev.blobs {
		f.ev.blobs[strings.Replace(key, shop, toolbox, 1)] = content
	}
	for key, content := range f.ev.manifests {
		f.ev.manifests[strings.Replace(key, shop, toolbox, 1)] = content
	}
	lax, err := NewVerifierFor(VerifierConfig{Nameless: true, Principals: []Principal{f.trusted.Principal()}})
	f.must(err)
	if _, err := lax.VerifyImage(ctx, f.ev, shop, f.img.Digest); err != nil {
		t.Error(err)
	}
	if _, err := lax.VerifyImage(ctx, f.ev, toolbox, f.img.Digest); !errors.Is(err, ErrInvalid) {
		t.Errorf("evidence of %s moved to %s: %v", shop, toolbox, err)
	}

	g := newForger(t)
	payload := fmt.Sprintf(`{"_type":%q,"subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		statementType, g.img.Digest.Encoded(), SignaturePredicate)
	sig, err := g.trusted.signDSSE(ctx, []byte(payload))
	g.must(err)
	g.refer(g.bundle(g.about(SignaturePredicate, nil), func(b map[string]any) {
		b["dsseEnvelope"] = map[string]any{"payload": []byte(payload), "payloadType": payloadType,
			"signatures": []any{map[string]any{"sig": sig}}}
	}), SignaturePredicate, nil)
	if _, err := g.trusted.Verifier().VerifyImage(ctx, g.ev, shop, g.img.Digest); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "names no image") {
		t.Errorf("without Nameless: %v", err)
	}
	lax, err = NewVerifierFor(VerifierConfig{Nameless: true, Principals: []Principal{g.trusted.Principal()}})
	g.must(err)
	got, err := lax.VerifyImage(ctx, g.ev, shop, g.img.Digest)
	if err != nil || len(got) != 1 || got[0].Named != "" {
		t.Errorf("with Nameless: %+v, %v", got, err)
	}
}

// FAULTS 35: attestations put under the tag at once are all there in the end.
func TestConcurrentAttachmentsLoseNothing(t *testing.T) {
	const attesters = 6
	ctx, ev, img := context.Background(), newMemory(), imageOf("one")
	var all []*Signer
	for range attesters {
		all = append(all, testSigner(t))
	}
	var ready, wg sync.WaitGroup
	ready.Add(attesters)
	waited := make(chan struct{}, attesters)
	ev.onTag = func() { // the first write of everybody waits for everybody
		select {
		case waited <- struct{}{}:
			ready.Done()
			ready.Wait()
		default:
		}
	}
	for i, s := range all {
		wg.Go(func() {
			desc, err := s.Attest(ctx, ev, shop, img, SPDXPredicate, map[string]int{"n": i})
			if err == nil {
				err = s.AttachTag(ctx, ev, shop, img, SPDXPredicate, desc.Digest)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	ev.refs = nil // the tag alone must have them
	got, err := verifierOf(t, all...).Attestations(ctx, ev, shop, img.Digest, SPDXPredicate)
	if err != nil || len(got) != attesters {
		t.Fatalf("%d attestations, %v", len(got), err)
	}
	if _, err := verifierOf(t, all...).Attestations(ctx, ev, shop, img.Digest, TestPredicate); !errors.Is(err, ErrUnsigned) {
		t.Errorf("another type: %v", err)
	}
	if _, err := verifierOf(t, testSigner(t)).Attestations(ctx, ev, shop, img.Digest, SPDXPredicate); !errors.Is(err, ErrInvalid) {
		t.Errorf("a stranger's key: %v", err)
	}
}

// FAULTS 32, 33: what lies under the attestation tag is bounded, and its type
// is the signed one, not the annotated.
func TestForgedAttestationTag(t *testing.T) {
	ctx := context.Background()
	for name, c := range map[string]struct {
		change func(e *dsse.Envelope)
		said   string
		count  int
		want   string
	}{
		"good":              {func(*dsse.Envelope) {}, SPDXPredicate, 1, ""},
		"another type":      {func(*dsse.Envelope) {}, TestPredicate, 1, "no attestation"},
		"a payload changed": {func(e *dsse.Envelope) { e.Payload = "e30=" }, SPDXPredicate, 1, "known key"},
		"a payload type":    {func(e *dsse.Envelope) { e.PayloadType = "text/plain" }, SPDXPredicate, 1, "payload type"},
		"no signature":      {func(e *dsse.Envelope) { e.Signatures = nil }, SPDXPredicate, 1, "signatures"},
		"two signatures":    {func(e *dsse.Envelope) { e.Signatures = append(e.Signatures, e.Signatures...) }, SPDXPredicate, 1, "signatures"},
		"not base64":        {func(e *dsse.Envelope) { e.Signatures[0].Sig = "?" }, SPDXPredicate, 1, "signature"},
		"endless":           {func(*dsse.Envelope) {}, SPDXPredicate, maxCandidates + 1, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newForger(t)
			b, err := decodeBundle(f.bundle(f.about(SPDXPredicate, nil), nil))
			f.must(err)
			layer, err := pushEnvelope(ctx, f.ev, shop, c.said, b)
			f.must(err)
			content := f.ev.blobs[at(shop, layer.Digest.String())]
			var e dsse.Envelope
			f.must(json.Unmarshal(content, &e))
			c.change(&e)
			content, err = json.Marshal(e)
			f.must(err)
			annotations := layer.Annotations
			layer, err = pushBlob(ctx, f.ev, shop, envelopeMediaType, content)
			f.must(err)
			layer.Annotations = annotations
			layers := union(nil, nil)
			for range c.count {
				layers = append(layers, layer)
			}
			f.must(attestationLayout().push(ctx, f.ev, shop, f.img, nil, layers))
			_, err = f.trusted.Verifier().Attestations(ctx, f.ev, shop, f.img.Digest, SPDXPredicate)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v; want %q", err, c.want)
			}
		})
	}
}

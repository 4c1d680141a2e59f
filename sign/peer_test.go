//go:build full

package sign

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// kilnKey writes a key pair made by kiln and loads it.
func (p *peer) kilnKey(prefix string) *Signer {
	p.t.Helper()
	private, public, err := GenerateKey([]byte("secret"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(prefix+".key", string(private))
	p.write(prefix+".pub", string(public))
	return p.load(prefix)
}

// cosignKey has cosign make a key pair and loads it.
func (p *peer) cosignKey(prefix string) *Signer {
	p.t.Helper()
	p.mustCosign("generate-key-pair", "--output-key-prefix", prefix)
	return p.load(prefix)
}

func (p *peer) load(prefix string) *Signer {
	p.t.Helper()
	s, err := LoadSigner(context.Background(), filepath.Join(p.dir, prefix+".key"), password("secret"))
	if err != nil {
		p.t.Fatal(err)
	}
	if got := string(s.PublicPEM()); got != string(p.read(prefix+".pub")) {
		p.t.Fatalf("%s: public key\n%swant\n%s", prefix, got, p.read(prefix+".pub"))
	}
	return s
}

// offline are the options with which cosign needs no network.
var offline = []string{"--private-infrastructure", "--trusted-root", "root.json"}

func (p *peer) verify(key string, args ...string) (string, error) {
	all := append([]string{"verify", "--key", key}, offline...)
	return p.cosign(append(append(all, args...), p.ref(shop, p.image.Digest))...)
}

func TestCosignVerifiesWhatKilnSigns(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	s := p.kilnKey("bake")
	if _, err := p.verify("bake.pub"); err == nil {
		t.Fatal("cosign verifies an unsigned image")
	}
	if err := s.SignImage(ctx, p.ev, shop, p.image); err != nil {
		t.Fatal(err)
	}
	if out, err := p.verify("bake.pub"); err != nil {
		t.Error(err)
	} else if !strings.Contains(out, p.image.Digest.String()) {
		t.Errorf("cosign verify prints %s", out)
	}
	p.kilnKey("other")
	if _, err := p.verify("other.pub"); err == nil {
		t.Error("cosign verifies with another key")
	}
}

// Where there is a bundle cosign does not look at the tag; alone it must do.
func TestCosignVerifiesTheTagLayout(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	s := p.kilnKey("bake")
	if err := s.signTag(ctx, p.ev, shop, p.image); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{nil, {"--experimental-oci11"}} {
		out, err := p.verify("bake.pub", args...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		} else if !strings.Contains(out, `"docker-reference":"`+shop+`"`) {
			t.Errorf("%v: cosign verify prints %s", args, out)
		}
	}
	p.kilnKey("other")
	if _, err := p.verify("other.pub"); err == nil {
		t.Error("cosign verifies with another key")
	}
}

func TestCosignVerifiesAttestationsOfKiln(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	s := p.kilnKey("bake")
	if err := s.SignImage(ctx, p.ev, shop, p.image); err != nil {
		t.Fatal(err)
	}
	predicates := map[string]any{
		SPDXPredicate:       map[string]any{"spdxVersion": "SPDX-2.3"},
		CycloneDXPredicate:  map[string]any{"bomFormat": "CycloneDX"},
		ProvenancePredicate: map[string]any{"buildDefinition": map[string]any{"externalParameters": map[string]string{"image": shop}}},
		TestPredicate:       map[string]any{"result": "PASSED", "<&>": 1e300},
	}
	for predicateType, predicate := range predicates {
		if _, err := s.Attest(ctx, p.ev, shop, p.image, predicateType, predicate); err != nil {
			t.Fatal(err)
		}
	}
	types := map[string]string{
		"spdxjson": SPDXPredicate, "cyclonedx": CycloneDXPredicate, "slsaprovenance1": ProvenancePredicate,
		SPDXPredicate: SPDXPredicate, TestPredicate: TestPredicate,
	}
	for flag, want := range types {
		out, err := p.cosign(append(append([]string{"verify-attestation", "--key", "bake.pub", "--type", flag}, offline...), p.ref(shop, p.image.Digest))...)
		if err != nil {
			t.Errorf("--type %s: %v", flag, err)
			continue
		}
		var envelope struct{ Payload []byte }
		var st statementJSON
		if err := json.Unmarshal([]byte(out), &envelope); err != nil {
			t.Errorf("--type %s prints %s: %v", flag, out, err)
		} else if err := json.Unmarshal(envelope.Payload, &st); err != nil || st.PredicateType != want {
			t.Errorf("--type %s: statement %s (%v)", flag, envelope.Payload, err)
		}
		got, err := s.Verifier().Attestations(ctx, p.ev, shop, p.image.Digest, want)
		if err != nil || len(got) != 1 {
			t.Errorf("%s: kiln sees %d attestations: %v", want, len(got), err)
		}
	}
}

func TestKilnVerifiesWhatCosignSigns(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	s := p.cosignKey("cosign")
	ref := p.ref(shop, p.image.Digest)
	for _, identity := range []string{"acme/toolbox", "registry.example.com/acme/toolbox"} {
		p.mustCosign("sign", "--key", "cosign.key", "--tlog-upload=false", "--sign-container-identity", identity, ref)
	}
	if _, err := s.Verifier().VerifyImage(ctx, p.ev, shop, p.image.Digest); !errors.Is(err, ErrInvalid) {
		t.Errorf("signed for another image: %v", err)
	}
	// By itself cosign writes the host into the payload.
	p.mustCosign("sign", "--key", "cosign.key", "--tlog-upload=false", ref)
	if got, err := s.Verifier().VerifyImage(ctx, p.ev, shop, p.image.Digest); err != nil || len(got) != 1 || got[0].Named != p.host+"/"+shop {
		t.Errorf("signed with a host: %+v, %v", got, err)
	}
	p.mustCosign("sign", "--key", "cosign.key", "--tlog-upload=false", "--sign-container-identity", shop, ref)
	got, err := s.Verifier().VerifyImage(ctx, p.ev, shop, p.image.Digest)
	if err != nil || len(got) != 2 || got[1].Layout != LayoutTag || got[1].Named != shop || got[1].KeyID != s.KeyID() {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Signatures by cosign and by kiln, in any order, stay under one tag.
func TestSignaturesMergeWithCosigns(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	first, second, third := p.cosignKey("first"), p.kilnKey("second"), p.cosignKey("third")
	ref := p.ref(shop, p.image.Digest)
	p.mustCosign("sign", "--key", "first.key", "--tlog-upload=false", "--sign-container-identity", shop, ref)
	if err := second.signTag(ctx, p.ev, shop, p.image); err != nil {
		t.Fatal(err)
	}
	p.mustCosign("sign", "--key", "third.key", "--tlog-upload=false", "--sign-container-identity", shop, ref)
	if err := second.signTag(ctx, p.ev, shop, p.image); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Signer{first, second, third} {
		got, err := s.Verifier().VerifyImage(ctx, p.ev, shop, p.image.Digest)
		if err != nil || got[0].Layout != LayoutTag {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	m, _, err := signatureLayout().read(ctx, p.ev, shop, p.image.Digest)
	if err != nil || len(m.Layers) != 3 {
		t.Errorf("%d signatures under the tag, want 3 (%v)", len(m.Layers), err)
	}
	for _, key := range []string{"first.pub", "second.pub", "third.pub"} {
		if _, err := p.verify(key); err != nil {
			t.Error(err)
		}
	}
}

func TestCosignSignsWithKilnsKey(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	s := p.kilnKey("bake")
	p.mustCosign("sign", "--key", "bake.key", "--tlog-upload=false", "--sign-container-identity", shop, p.ref(shop, p.image.Digest))
	if _, err := s.Verifier().VerifyImage(ctx, p.ev, shop, p.image.Digest); err != nil {
		t.Error(err)
	}
}

func TestImportedRSAKey(t *testing.T) {
	ctx, p := context.Background(), newPeer(t)
	p.write("rsa.pem", rsaPEM(t, 2048))
	p.mustCosign("import-key-pair", "--key", "rsa.pem", "--output-key-prefix", "rsa")
	s := p.load("rsa")
	for _, sign := range []func(context.Context, Evidence, string, ocispec.Descriptor) error{s.signTag, s.signBundle} {
		if err := sign(ctx, p.ev, shop, p.image); err != nil {
			t.Fatal(err)
		}
		if _, err := p.verify("rsa.pub"); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Verifier().VerifyImage(ctx, p.ev, shop, digest.FromString("another")); !errors.Is(err, ErrUnsigned) {
		t.Errorf("another digest: %v", err)
	}
}

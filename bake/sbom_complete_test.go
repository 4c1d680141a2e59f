package bake

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"kiln/sign"
)

// A version that a kiln attested which knew SPDX alone gets its CycloneDX
// document when it is baked again, once: then nothing changes any more.
func TestSBOMCompletedOnce(t *testing.T) {
	w := newRecordWorld(t)
	private, _, err := sign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, private, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := sign.LoadSigner(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	recipe := project(t, map[string]string{
		"kiln.hcl":                           "project = \"acme\"\nimage \"app\" {\n  copy {\n    source = \"app\"\n    target = \"/srv\"\n  }\n}\n",
		"app/node_modules/left/package.json": `{"name": "left", "version": "1.0.0", "license": "MIT"}`,
	})
	cache := t.TempDir()
	bake := func() Baked {
		t.Helper()
		b := w.builder(t, cache)
		b.Scanner = markScanner{}
		baked, err := Bake(t.Context(), Request{Recipe: recipe, Builder: b, Publisher: &RegistryPublisher{
			Registry: w.registry, Versions: w.registry, Signer: signer, Started: w.clock, Invocation: "one", Kiln: "test",
			Now: func() time.Time { w.clock = w.clock.Add(time.Second); return w.clock },
		}})
		b.cache.Close()
		if err != nil {
			t.Fatal(err)
		}
		return baked[0]
	}
	attested := func(b Baked) []sign.Attestation {
		t.Helper()
		found, err := signer.Verifier().Attestations(t.Context(), w.registry, b.Name, b.Digest, sign.CycloneDXPredicate)
		if err != nil && !errors.Is(err, sign.ErrUnsigned) {
			t.Fatal(err)
		}
		return found
	}
	first := bake()
	found := attested(first)
	if !first.Built || len(found) != 1 {
		t.Fatalf("built %v, with %d CycloneDX documents", first.Built, len(found))
	}
	bom := new(cyclonedx.BOM)
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(found[0].Predicate), cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	if list := *bom.Components; len(list) != 1 || list[0].PackageURL != "pkg:npm/left@1.0.0" {
		t.Errorf("components %+v", list)
	}
	if bake().Built {
		t.Error("what was whole was baked again")
	}
	if err := w.registry.DeleteManifest(t.Context(), first.Name, found[0].Digest); err != nil {
		t.Fatal(err)
	}
	again := bake()
	if anew := attested(again); !again.Built || len(anew) != 1 || !bytes.Equal(anew[0].Predicate, found[0].Predicate) {
		t.Errorf("built %v, with %d documents", again.Built, len(anew))
	}
	if bake().Built {
		t.Error("what was completed was completed again")
	}
}

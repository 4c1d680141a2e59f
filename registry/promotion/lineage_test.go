package promotion

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

func (w *world) lineageOf(image string, d digest.Digest) lineage {
	w.Helper()
	t, err := w.service.Trust(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	line, err := w.service.lineage(w.Context(), t, image, d)
	if err != nil {
		w.Fatal(err)
	}
	return line
}

// What counts as an ancestor is what provenance says that a trusted key signed;
// what that leaves open is unknown.
func TestLineage(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	lib := w.bakedOn("acme/lib", "lib", parent("acme/base", base))
	gone := digest.FromString("gone")
	unsigned := w.imageOn("acme/unsigned", "x", base).Digest
	for name, c := range map[string]struct {
		d       digest.Digest
		want    []string
		problem string
	}{
		"none":        {w.bakedOn(shop, "alone"), nil, ""},
		"two":         {w.bakedOn(shop, "two", parent("acme/lib", lib)), []string{"acme/lib@" + string(lib), "acme/base@" + string(base)}, ""},
		"foreign":     {w.bakedOn(shop, "foreign", line{parentName, "registry.example.com/debian@" + string(gone)}), []string{"registry.example.com/debian@" + string(gone)}, ""},
		"not there":   {w.bakedOn(shop, "missing", parent("acme/base", gone)), []string{"acme/base@" + string(gone)}, "acme/base@" + string(gone) + ": it has no provenance"},
		"unsigned":    {w.bakedOn(shop, "on unsigned", parent("acme/unsigned", unsigned)), []string{"acme/unsigned@" + string(unsigned)}, "acme/unsigned@"},
		"without any": {w.image(shop, "bare").Digest, nil, "it has no provenance"},
		"malformed":   {w.bakedOn(shop, "malformed", parent("acme/base", base), line{parentName, "x y@" + string(base)}), []string{"acme/base@" + string(base)}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			line := w.lineageOf(shop, c.d)
			var got []string
			for _, k := range line.ancestors {
				got = append(got, k.String())
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) || line.known != (c.problem == "") || !strings.Contains(line.problem, c.problem) {
				t.Errorf("%v, known %v, %q", got, line.known, line.problem)
			}
		})
	}
}

// A stranger's provenance adds nothing; a second one by a trusted key takes no
// parent away.
func TestLineageOfSeveralProvenances(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	app := w.bakedOn(shop, "app", parent("acme/base", base))
	desc, _, err := w.service.version(t.Context(), shop, app)
	if err != nil {
		t.Fatal(err)
	}
	w.attest(w.bake, shop, desc, sign.ProvenancePredicate, provenanceOn(shop))
	w.attest(w.stranger, shop, desc, sign.ProvenancePredicate, provenanceOn(shop, parent("acme/base", digest.FromString("x"))))
	w.attest(w.bake, shop, desc, sign.ProvenancePredicate, provenanceOn("acme/other", parent("acme/base", digest.FromString("y"))))
	if line := w.lineageOf(shop, app); !line.known || len(line.ancestors) != 1 || line.ancestors[0].Digest != base {
		t.Errorf("%+v", line)
	}
}

// Who takes a bake key out of the trust, or lets it expire, still has
// revocations inherited by what it signed.
func TestRevocationIsInheritedByWhatALostKeySigned(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	app := w.bakedOn(shop, "app", parent("acme/base", base))
	w.to("dev", app)
	if _, err := w.service.RemoveTrust(t.Context(), TrustRequest{KeyID: w.bake.KeyID()}); err != nil {
		t.Fatal(err)
	}
	w.clock.Add(2 * lineAge)
	if line := w.lineageOf(shop, app); line.known || len(line.ancestors) != 1 {
		t.Errorf("%+v", line)
	}
	if _, err := w.resolved(shop, "dev"); err != nil {
		t.Fatal(err)
	}
	w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base})
	_, err := w.resolved(shop, "dev")
	want(t, err, KindRevoked, "was baked on acme/base@")
}

// A chain that goes round ends, and one that is too long is refused.
func TestLineageIsBounded(t *testing.T) {
	w := openWorld(t)
	var many []line
	for i := range maxAncestors + 1 {
		many = append(many, parent("acme/base", digest.FromString(fmt.Sprint(i))))
	}
	app := w.bakedOn(shop, "app", many...)
	trust, err := w.service.Trust(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = w.service.lineage(t.Context(), trust, shop, app)
	want(t, err, KindVerification, "more than")
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// BenchmarkResolve is an answer about a version with two ancestors.
func BenchmarkResolve(b *testing.B) {
	w := openWorld(b)
	base := w.bakedOn("acme/base", "base")
	lib := w.bakedOn("acme/lib", "lib", parent("acme/base", base))
	w.to("dev", w.bakedOn(shop, "app", parent("acme/lib", lib)))
	w.to("staging", w.bakedOn(shop, "alone"))
	for name, channel := range map[string]string{"two ancestors": "dev", "none": "staging"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.resolved(shop, channel); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Ancestry says which parents signed provenance bears out, and which are
// revoked.
func TestAncestryTellsWhatIsKnownAndRevoked(t *testing.T) {
	w := openWorld(t)
	base := w.bakedOn("acme/base", "base")
	app := w.bakedOn(shop, "app", parent("acme/base", base), line{parentName, "registry.example.com/x@" + string(digest.FromString("x"))})
	bare := w.imageOn(shop, "bare", base).Digest
	w.revokeOf(RevokeRequest{Image: "acme/base", Digest: base})
	got, err := w.service.Ancestry(t.Context(), AncestryRequest{Image: shop, Digest: app})
	if err != nil || !got.Revoked || len(got.Parents) != 2 {
		t.Fatalf("%+v: %v", got, err)
	}
	if p := got.Parents[0]; p.Digest != base || !p.Known || !p.Revoked || p.RevokedBecause != "it leaks" || p.Foreign || !p.Stored {
		t.Errorf("%+v", p)
	}
	if p := got.Parents[1]; p.Image != "x" || !p.Known || !p.Foreign || p.Revoked || p.Stored {
		t.Errorf("%+v", p)
	}
	w.baseName = "acme/base"
	named := w.imageOn(shop, "named", base).Digest
	w.baseName = ""
	if got, err = w.service.Ancestry(t.Context(), AncestryRequest{Image: shop, Digest: named}); err != nil || !got.Revoked || len(got.Parents) != 1 || got.Parents[0].Known {
		t.Errorf("unsigned: %+v: %v", got, err)
	}
	if got, err = w.service.Ancestry(t.Context(), AncestryRequest{Image: shop, Digest: bare}); err != nil || got.Revoked || len(got.Parents) != 0 {
		t.Errorf("without a name: %+v: %v", got, err)
	}
}

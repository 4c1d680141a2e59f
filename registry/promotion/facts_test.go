package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/policy"
	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// factsOf are the facts about a promotion of a version of the shop.
func (w *world) factsOf(d digest.Digest, channel string) policy.Facts {
	w.Helper()
	c, err := w.service.Check(w.Context(), CheckRequest{Image: shop, Digest: d, Channel: channel})
	if err != nil {
		w.Fatal(err)
	}
	f, err := policy.ParseFacts(c.Document)
	if err != nil {
		w.Fatalf("%v\n%+v", err, c)
	}
	return f
}

// described is the descriptor of a version of the shop.
func (w *world) described(d digest.Digest) ocispec.Descriptor {
	w.Helper()
	desc, _, err := w.registry.Manifest(w.Context(), shop, d)
	if err != nil {
		w.Fatal(err)
	}
	return desc
}

// vulns is a report of one finding.
func vulns(at time.Time, id, severity string) map[string]any {
	when := at.UTC().Format(time.RFC3339)
	return map[string]any{
		"invocation": map[string]any{"uri": "", "event_id": "", "builder.id": ""},
		"scanner": map[string]any{"uri": "https://example.com/scanner", "version": "1", "db": map[string]any{"uri": "", "version": ""}, "result": map[string]any{
			"schema": "kiln.vulnerabilities/v1", "scanner": map[string]any{"name": "scanner"}, "findings": []any{map[string]any{
				"id": id, "severity": severity, "package": "openssl", "version": "3.0.11", "fixed_in": "3.0.12", "state": "fixed",
			}},
		}},
		"metadata": map[string]any{"scanStartedOn": when, "scanFinishedOn": when},
	}
}

func TestFactsOfEvidence(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	w.attest(w.bake, shop, w.described(d), sign.CycloneDXPredicate, map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "components": []any{
			map[string]any{"type": "library", "name": "left-pad", "version": "1.3.0", "purl": "pkg:npm/left-pad@1.3.0"},
		},
	})
	w.attest(w.stranger, shop, w.described(d), sign.SPDXPredicate, sbomOf("evil 1"))
	f := w.factsOf(d, "dev")
	if len(f.Signatures) != 1 || f.Signatures[0].KeyID != w.bake.KeyID() || !f.Signatures[0].Trusted || f.Signatures[0].SignedAt != nil {
		t.Errorf("signatures %+v", f.Signatures)
	}
	if !slices.Equal(f.BakedBy, []string{w.bake.KeyID()}) || f.RequestedBy != w.promote.KeyID() {
		t.Errorf("baked by %v, requested by %q", f.BakedBy, f.RequestedBy)
	}
	if p := f.Provenance; !p.Present || p.KeyID != w.bake.KeyID() || p.Builder != "https://example.com/builder" || p.Dirty != nil || p.Hermetic {
		t.Errorf("provenance %+v", p)
	}
	if len(f.SBOM.Formats) != 2 || len(f.SBOM.Packages) != 2 || f.SBOM.Packages[0].Name != "openssl" || f.SBOM.Packages[1].Type != "npm" {
		t.Errorf("SBOM %+v", f.SBOM)
	}
	// Two layouts of one signature, a provenance, two SBOMs, a test and a scan.
	if len(f.Evidence) != 7 || !slices.IsSorted(f.Evidence) {
		t.Errorf("they rest on %v", f.Evidence)
	}
	if !f.Ancestry.Known || len(f.Ancestry.Ancestors) != 0 {
		t.Errorf("ancestry %+v", f.Ancestry)
	}
}

// FAULTS 32: a document of another form than its type says is none.
func TestSBOMOfAnotherForm(t *testing.T) {
	w := newWorld(t)
	desc := w.image(shop, "a")
	if _, err := w.service.Admit(t.Context(), RoleBake, w.bake.PublicPEM(), shop, "", true); err != nil {
		t.Fatal(err)
	}
	w.attest(w.bake, shop, desc, sign.CycloneDXPredicate, sbomOf("openssl 3"))
	w.attest(w.bake, shop, desc, sign.SPDXPredicate, map[string]any{"spdxVersion": "SPDX-2.3"})
	if f := w.factsOf(desc.Digest, "dev"); f.SBOM.Present || len(f.SBOM.Packages) > 0 {
		t.Errorf("SBOM %+v", f.SBOM)
	}
	_, err := w.service.Promote(t.Context(), PromoteRequest{Image: shop, Digest: desc.Digest, Channel: "dev"})
	if e := want(t, err, KindDenied, "no software bill"); !strings.Contains(e.Hint, "a spdx document attested as") {
		t.Errorf("hint %q", e.Hint)
	}
}

// The newest report counts, whoever attached what later; one that cannot be
// read and may be newer leaves none.
func TestNewestReportCounts(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	desc, now := w.described(d), w.clock.Now()
	w.attest(w.bake, shop, desc, sign.VulnPredicate, vulns(now.Add(-time.Hour), "CVE-2", "critical"))
	w.attest(w.bake, shop, desc, sign.VulnPredicate, vulns(now.Add(-48*time.Hour), "CVE-1", "low"))
	w.attest(w.stranger, shop, desc, sign.VulnPredicate, vulns(now, "CVE-3", "low"))
	v := w.factsOf(d, "dev").Vulnerabilities
	if !v.Present || !v.Trusted || len(v.Findings) != 1 || v.Findings[0].ID != "CVE-2" || !v.ScannedAt.Equal(now.Add(-time.Hour)) {
		t.Fatalf("report %+v", v)
	}
	odd := vulns(now.Add(-24*time.Hour), "CVE-4", "low")
	odd["scanner"].(map[string]any)["result"] = map[string]any{"unknown": 1}
	w.attest(w.bake, shop, desc, sign.VulnPredicate, odd)
	if v := w.factsOf(d, "dev").Vulnerabilities; !v.Present {
		t.Error("an older report that cannot be read hides the newest")
	}
	odd["metadata"] = map[string]any{}
	w.attest(w.bake, shop, desc, sign.VulnPredicate, odd)
	if v := w.factsOf(d, "dev").Vulnerabilities; v.Present || len(v.Findings) > 0 {
		t.Errorf("a report that may be newer was passed over: %+v", v)
	}
}

func TestSoak(t *testing.T) {
	w := newWorld(t)
	a, b := w.baked(shop, "a"), w.baked(shop, "b")
	if s := w.factsOf(a, "dev").Soak; s.Channel != "" || s.Since != nil {
		t.Errorf("before the first channel %+v", s)
	}
	if s := w.factsOf(a, "staging").Soak; s.Channel != "dev" || s.Since != nil {
		t.Errorf("never there: %+v", s)
	}
	first := w.clock.Now()
	w.to("dev", a)
	w.clock.Add(time.Hour)
	w.to("dev", b)
	w.clock.Add(time.Hour)
	if s := w.factsOf(a, "staging").Soak; s.Since == nil || !s.Since.Equal(first) {
		t.Errorf("left since: %+v, want %v", s.Since, first)
	}
	again := w.clock.Now()
	w.to("dev", a)
	w.clock.Add(time.Hour)
	if s := w.factsOf(a, "staging").Soak; s.Since == nil || !s.Since.Equal(again) {
		t.Errorf("there again: %+v, want %v", s.Since, again)
	}
	w.forgetIndex()
	if s := w.factsOf(b, "staging").Soak; s.Since == nil || !s.Since.Equal(first.Add(time.Hour)) {
		t.Errorf("without the index: %+v", s.Since)
	}
}

// standing stores a version whose signed provenance names a parent.
func (w *world) standing(image, content, parent string) digest.Digest {
	w.Helper()
	desc := w.image(image, content)
	p := provenanceOf(image, "app")
	if _, hex, ok := strings.Cut(parent, "@sha256:"); ok {
		p["buildDefinition"].(map[string]any)["resolvedDependencies"] = []any{
			map[string]any{"name": "parent", "uri": parent, "digest": map[string]string{"sha256": hex}},
		}
	}
	w.attest(w.bake, image, desc, sign.ProvenancePredicate, p)
	w.clock.Add(time.Second)
	return desc.Digest
}

func TestAncestorsAreOutdated(t *testing.T) {
	w := newWorld(t)
	w.service = w.with(func(c *Config) { c.Policy = w.open() })
	if _, err := w.service.Admit(t.Context(), RoleBake, w.bake.PublicPEM(), shop, "", true); err != nil {
		t.Fatal(err)
	}
	const base = "acme/base"
	old := w.standing(base, "one", "")
	app := w.standing(shop, "app", base+"@"+string(old))
	foreign := w.standing(shop, "other", "registry.example.com/debian@"+string(digest.FromString("debian")))
	outdated := func(channel string) bool {
		t.Helper()
		f := w.factsOf(app, channel)
		if !f.Ancestry.Known || len(f.Ancestry.Ancestors) != 1 || f.Ancestry.Ancestors[0].Outdated == nil {
			t.Fatalf("ancestry %+v", f.Ancestry)
		}
		return *f.Ancestry.Ancestors[0].Outdated
	}
	if outdated("dev") {
		t.Error("the newest base is outdated")
	}
	next := w.standing(base, "two", "")
	if !outdated("dev") {
		t.Error("a newer base does not make the old one outdated")
	}
	if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: base, Digest: old, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	if outdated("dev") {
		t.Error("what the channel holds is outdated")
	}
	if _, err := w.service.Promote(t.Context(), PromoteRequest{Image: base, Digest: next, Channel: "staging"}); err != nil {
		t.Fatal(err)
	}
	if !outdated("staging") || outdated("dev") {
		t.Error("outdated is not by channel")
	}
	f := w.factsOf(foreign, "dev")
	if !f.Ancestry.Known || len(f.Ancestry.Ancestors) != 1 || !f.Ancestry.Ancestors[0].Foreign || f.Ancestry.Ancestors[0].Outdated != nil {
		t.Errorf("a base from elsewhere: %+v", f.Ancestry)
	}
}

// FAULTS 33: more evidence than is read denies, and says so; what is ordinary,
// as a report each day for two years, does not.
func TestEndlessEvidence(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	flooded := &flood{Registry: w.registry, of: d, predicate: sign.VulnPredicate, count: 730}
	s := w.with(func(c *Config) { c.Registry = flooded })
	if _, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	for _, predicate := range []string{sign.VulnPredicate, sign.SignaturePredicate, sign.TestPredicate, ""} {
		flooded.predicate, flooded.count = predicate, maxOfType+1
		w.clock.Add(time.Second)
		_, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "staging"})
		e := want(t, err, KindDenied, fmt.Sprintf("more than %d pieces of evidence", maxOfType))
		if len(e.Reasons) != 1 || e.Reasons[0].Rule != "evidence" || e.Reasons[0].Fix == "" {
			t.Errorf("reasons %+v", e.Reasons)
		}
	}
	c, err := s.Check(t.Context(), CheckRequest{Image: shop, Digest: d, Channel: "staging"})
	if err != nil || c.Allow || len(c.Refusals) != 1 || len(c.Findings) == 0 {
		t.Errorf("checked: %+v, %v", c, err)
	}
	list, err := s.Decisions(t.Context(), DecisionsRequest{Image: shop})
	if err != nil || len(list.Decisions) != 5 || !list.Decisions[0].Denied() || list.Decisions[0].Refusals[0].Rule != "evidence" {
		t.Errorf("kept: %+v, %v", list, err)
	}
	// Other types, of which no policy hears, may be there without end.
	flooded.predicate, flooded.count = "https://example.com/other", 5*maxOfType
	if _, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "staging"}); err != nil {
		t.Error(err)
	}
}

// FAULTS 33: giant attachments, each of a size that is read, are bounded
// together.
func TestGiantEvidence(t *testing.T) {
	a := &attached{image: shop, digest: digest.FromString("x"), left: maxEvidenceBytes}
	r := &spending{ReadCloser: io.NopCloser(endless{}), of: a}
	n, err := io.Copy(io.Discard, r)
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KindDenied || n > maxEvidenceBytes+1<<20 {
		t.Errorf("read %d bytes: %v", n, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// flood is a registry that lists bundles without end.
type flood struct {
	registry.Registry
	of        digest.Digest
	predicate string
	count     int
}

func (f *flood) Referrers(ctx context.Context, image string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		for desc, err := range f.Registry.Referrers(ctx, image, d, artifactType) {
			if !yield(desc, err) {
				return
			}
		}
		if d != f.of || artifactType != sign.BundleMediaType {
			return
		}
		for i := range f.count {
			desc := ocispec.Descriptor{
				MediaType: ocispec.MediaTypeImageManifest, ArtifactType: sign.BundleMediaType,
				Digest: digest.FromString(fmt.Sprint("nothing ", i)), Size: 7,
			}
			if f.predicate != "" {
				desc.Annotations = map[string]string{predicateAnnotation: f.predicate}
			}
			if !yield(desc, nil) {
				return
			}
		}
	}
}

// FAULTS 36: a policy that is undefined, empty, erroring or endless denies, and
// the denial is kept.
func TestBrokenPolicies(t *testing.T) {
	w := newWorld(t)
	d := w.baked(shop, "a")
	for name, source := range map[string]string{
		"undefined": "package kiln\nallow if input.nothing", "empty": "package kiln\n", "elsewhere": "package other\nallow := true\n",
		"text": "package kiln\nallow := \"true\"\n", "conflict": "package kiln\nallow := true\nallow := input.revoked\n",
		"denies too": "package kiln\nallow := true\ndeny contains \"no\"\n",
	} {
		p, err := policy.Load(map[string][]byte{"p.rego": []byte(source)})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.clock.Add(time.Second)
		s := w.with(func(c *Config) { c.Policy = p })
		_, err = s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
		if e := want(t, err, KindDenied, "is denied"); len(e.Reasons) == 0 {
			t.Errorf("%s: no reasons", name)
		}
		list, err := s.Decisions(t.Context(), DecisionsRequest{Image: shop, Limit: 1})
		if err != nil || len(list.Decisions) != 1 || list.Decisions[0].Policy != p.Digest() || list.Decisions[0].Allow {
			t.Errorf("%s: kept %+v, %v", name, list, err)
		}
	}
	for _, source := range []string{"package kiln\nallow if http.send({\"method\": \"get\", \"url\": \"http://example.com\"}).status_code == 200", "package kiln\nallow if opa.runtime().env.HOME"} {
		if _, err := policy.Load(map[string][]byte{"p.rego": []byte(source)}); err == nil {
			t.Errorf("loaded %s", source)
		}
	}
	none := w.with(func(c *Config) { c.Policy = nil })
	_, err := none.Promote(t.Context(), PromoteRequest{Image: shop, Digest: d, Channel: "dev"})
	want(t, err, KindDenied, "no policy is configured")
	w.holds("dev", "")
}

// FAULTS 34: what was checked is what moves. A tag that moves to another image
// while a promotion runs changes nothing: digests are all that is asked for.
func TestTheCheckedDigestMoves(t *testing.T) {
	w := newWorld(t)
	good := w.baked(shop, "good")
	bad := w.image(shop, "bad", "20260301T130000Z-0123456789ab")
	moving := &tagMover{Registry: w.registry, before: func() {
		w.image(shop, "bad", "latest")
	}}
	s := w.with(func(c *Config) { c.Registry = moving })
	p, err := s.Promote(t.Context(), PromoteRequest{Image: shop, Digest: good, Channel: "dev"})
	if err != nil || p.Digest != good || moving.moved == 0 {
		t.Fatalf("%+v, %v, moved %d times", p, err, moving.moved)
	}
	w.holds("dev", good)
	raw, err := w.service.Decisions(t.Context(), DecisionsRequest{Image: shop, Record: p.Record})
	if err != nil || raw.Decisions[0].Digest != good {
		t.Errorf("decided on %+v, %v", raw, err)
	}
	var f policy.Facts
	if err := json.Unmarshal(raw.Decisions[0].Document, &f); err != nil || f.Digest != string(good) || f.Digest == string(bad.Digest) {
		t.Errorf("facts of %s, %v", f.Digest, err)
	}
}

// tagMover moves a tag before each manifest that is read.
type tagMover struct {
	registry.Registry
	before func()
	moved  int
}

func (m *tagMover) Manifest(ctx context.Context, image string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	if m.moved == 0 {
		m.moved++
		m.before()
	}
	return m.Registry.Manifest(ctx, image, d)
}

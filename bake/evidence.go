package bake

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/sign"
)

// BuilderID says who built: the kiln command on somebody's machine.
const BuilderID = "urn:kiln:builder:cli"

// attest signs the image and attaches SBOM, provenance and test results. What
// is there already under this key stays.
func (p *RegistryPublisher) attest(ctx context.Context, img *Image, desc ocispec.Descriptor) error {
	ev := Evidence(p.Registry)
	have, err := p.attested(ctx, listOnce(Evidence(p.Registry)), img)
	if err != nil {
		return err
	}
	for _, predicate := range p.predicates(img) {
		if have[predicate.name] {
			continue
		}
		content, err := predicate.make()
		if err != nil {
			return err
		}
		if _, err := p.Signer.Attest(ctx, ev, img.Name, desc, predicate.kind, content); err != nil {
			return fmt.Errorf("%s: %w", predicate.name, err)
		}
	}
	return p.Signer.SignImage(ctx, ev, img.Name, desc)
}

type predicate struct {
	name string // tests and scans are of one kind
	kind string
	make func() (json.RawMessage, error)
}

// predicates lists the evidence that belongs to an image.
func (p *RegistryPublisher) predicates(img *Image) []predicate {
	list := []predicate{
		{"SBOM", SBOMPredicate, func() (json.RawMessage, error) {
			return json.Marshal(SBOM(img.Name, img.Digest, img.Timestamp, img.Packages()))
		}},
		{"CycloneDX SBOM", CycloneDXPredicate, func() (json.RawMessage, error) {
			return json.Marshal(CycloneDX(img.Name, img.Digest, img.Timestamp, img.Packages()))
		}},
		{"provenance", ProvenancePredicate, func() (json.RawMessage, error) { return Provenance(p.build(img)) }},
	}
	if len(img.Tests.Passed) > 0 {
		list = append(list, predicate{"tests", TestResultPredicate, func() (json.RawMessage, error) {
			return TestResults(img.Tests.Passed, img.TestsBy)
		}})
	}
	if img.Scan != nil {
		list = append(list, predicate{scanName, TestResultPredicate, img.Scan.predicate})
	}
	return list
}

// build gathers what the provenance says.
func (p *RegistryPublisher) build(img *Image) Build {
	b := Build{
		External: map[string]any{
			"image": img.Name, "tier": img.Recipe.Tier, "version": img.Recipe.Version,
			"template": "kiln.hcl", "platform": img.platform(),
			"variables": p.variables(), "secretVariables": p.secrets(), "secretMounts": secretMounts(img),
		},
		Internal: map[string]any{
			"network": networks(img), "timestamp": img.Timestamp.Unix(),
			"dirty": p.Revision.Dirty, "tag": img.tag, "steps": stepsTold(img),
		},
		Builder: BuilderID, Kiln: p.Kiln, Invocation: p.Invocation, Start: p.Started, End: p.Now(),
	}
	if e := epochParameter(p.Epoch); e != "" {
		b.External["SOURCE_DATE_EPOCH"] = e
	}
	p.Origin.tell(&b, img)
	if p.Revision.Commit != "" && p.Origin == nil {
		b.Dependencies = append(b.Dependencies, p.source())
	}
	for _, in := range slices.Concat([]Input{p.Template, p.Lock}, p.Files, img.Inputs, img.family()) {
		if len(in.Digest) > 0 {
			b.Dependencies = append(b.Dependencies, in.Dependency)
		}
	}
	if img.noted != "" {
		record := Dependency{Name: recordName, Digest: map[string]string{string(img.noted.Algorithm()): img.noted.Encoded()}}
		b.Dependencies = append(b.Dependencies, record)
		b.Byproducts = append(b.Byproducts, record)
	}
	return b
}

// source is the commit. Of a tree that differs from it, its name says so: then
// the copied files are those of the other dependencies, not the commit's.
func (p *RegistryPublisher) source() Dependency {
	d := Dependency{Name: "source", Digest: map[string]string{"gitCommit": p.Revision.Commit}}
	if p.Revision.Dirty {
		d.Name = "source-modified"
	}
	if p.Revision.Origin != "" {
		d.URI = "git+" + p.Revision.Origin
	}
	return d
}

// variables that were set from outside the template.
func (p *RegistryPublisher) variables() map[string]any {
	all := map[string]any{}
	for name, value := range p.Variables {
		all[name] = value
	}
	return all
}

// secrets are the names of sensitive variables: their values go nowhere.
func (p *RegistryPublisher) secrets() []any {
	all := []any{}
	for _, name := range p.Secrets {
		all = append(all, name)
	}
	return all
}

// networks says whether any step saw the host's network: then the build was
// not hermetic.
func networks(img *Image) string {
	for _, part := range img.parts() {
		if slices.Contains(runNetworks(part.Recipe), "host") {
			return "host"
		}
	}
	return "none"
}

// complete tells whether signature, provenance, SBOM and tests of the image
// verify under the publisher's own key.
func (p *RegistryPublisher) complete(ctx context.Context, img *Image) (bool, error) {
	verifier := p.Signer.Verifier()
	for _, part := range img.Platforms {
		if ok, err := p.complete(ctx, part); err != nil || !ok {
			return false, err
		}
	}
	listed := listOnce(Evidence(p.Registry))
	if _, err := verifier.VerifyImage(ctx, listed, img.Name, img.Digest); err != nil {
		return false, ctx.Err()
	}
	have, err := p.attested(ctx, listed, img)
	if err != nil {
		return false, err
	}
	for _, predicate := range p.predicates(img) {
		if !have[predicate.name] {
			return false, nil
		}
	}
	return true, nil
}

// attested tells which evidence verifies under the publisher's key, by name.
func (p *RegistryPublisher) attested(ctx context.Context, r sign.Reader, img *Image) (map[string]bool, error) {
	verifier := p.Signer.Verifier()
	have := map[string]bool{}
	byKind := map[string][]sign.Attestation{}
	for _, predicate := range p.predicates(img) {
		found, known := byKind[predicate.kind]
		if !known {
			var err error
			found, err = verifier.Attestations(ctx, r, img.Name, img.Digest, predicate.kind)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				found = nil
			}
			byKind[predicate.kind] = found
		}
		have[predicate.name] = len(found) > 0 && p.covers(predicate, found, img)
	}
	return have, nil
}

// covers tells whether evidence that verifies says of this bake what it should:
// results of these very tests and of a scan under these rules, and of a clean
// tree a provenance that says so.
func (p *RegistryPublisher) covers(of predicate, found []sign.Attestation, img *Image) bool {
	switch {
	case of.name == scanName:
		return img.Scan.attestedBy(found)
	case of.kind == TestResultPredicate:
		return coversTests(found, img)
	case of.kind == ProvenancePredicate:
		return slices.ContainsFunc(found, func(a sign.Attestation) bool { return p.proves(a, img) })
	}
	return true
}

// proves tells whether a provenance says what that of this bake would: the
// record of how the image was made, that which was just stored if one was, and
// of a clean tree that it was one.
func (p *RegistryPublisher) proves(a sign.Attestation, img *Image) bool {
	got, err := parseProvenance(a.Predicate)
	dirty := got.BuildDefinition.InternalParameters.Dirty
	if err != nil || !p.Revision.Dirty && (dirty == nil || *dirty) {
		return false
	}
	return img.record == nil || got.names(recordName, img.noted)
}

// coversTests tells whether an attested result is of these very tests.
func coversTests(found []sign.Attestation, img *Image) bool {
	for _, a := range found {
		var result struct {
			Configuration []struct{ Digest map[string]string }
			PassedTests   []string
		}
		if json.Unmarshal(a.Predicate, &result) != nil || len(result.Configuration) == 0 {
			continue
		}
		if result.Configuration[0].Digest["sha256"] == img.TestsBy && slices.Equal(result.PassedTests, img.Tests.Passed) {
			return true
		}
	}
	return false
}

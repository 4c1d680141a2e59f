package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"kiln/policy"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// provenance is what is read of a SLSA v1 provenance.
type provenance struct {
	BuildDefinition struct {
		ExternalParameters struct {
			Image string `json:"image"`
			Tier  string `json:"tier"`
		} `json:"externalParameters"`
		ResolvedDependencies []struct {
			Name   string            `json:"name"`
			Digest map[string]string `json:"digest"`
		} `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
	} `json:"runDetails"`
}

// commit is the git commit of the template; "" if the provenance has none.
func (p provenance) commit() string {
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		for _, alg := range []string{"gitCommit", "sha1"} {
			if c := d.Digest[alg]; c != "" {
				return c
			}
		}
	}
	return ""
}

// testResult is an in-toto test-result v0.1 predicate.
type testResult struct {
	Result      string   `json:"result"` // PASSED, WARNED or FAILED
	PassedTests []string `json:"passedTests"`
	FailedTests []string `json:"failedTests"`
	// Configuration of a scan for secrets is named scanName.
	Configuration []struct {
		Name        string            `json:"name"`
		Digest      map[string]string `json:"digest"`
		Annotations struct {
			Allowed []json.RawMessage `json:"allowed"`
			Exposed struct {
				Setuid       []string `json:"setuid"`
				Setgid       []string `json:"setgid"`
				Writable     []string `json:"world_writable"`
				Capabilities []string `json:"capabilities"`
				Ports        []string `json:"ports"`
				Root         bool     `json:"root"`
			} `json:"exposed"`
		} `json:"annotations"`
	} `json:"configuration"`
}

// scanName tells a scan for secrets from tests, which have the same predicate
// type.
const scanName = "secret-scan"

// isScan tells whether a result is a scan for secrets, not tests.
func (r testResult) isScan() bool {
	return len(r.Configuration) > 0 && r.Configuration[0].Name == scanName
}

// scan is what a scan for secrets says.
func (r testResult) scan() policy.Scan {
	c := r.Configuration[0]
	e := c.Annotations.Exposed
	return policy.Scan{
		Present: true, Trusted: true, Passed: r.Result == "PASSED" && len(r.FailedTests) == 0,
		Rules: c.Digest["sha256"], Allowed: len(c.Annotations.Allowed),
		Setuid: e.Setuid, Setgid: e.Setgid, Writable: e.Writable, Capabilities: e.Capabilities, Ports: e.Ports, Root: e.Root,
	}
}

// tests lists the results. A result that failed without naming a test counts
// as one.
func (r testResult) tests() []policy.Test {
	var tests []policy.Test
	for _, name := range r.PassedTests {
		tests = append(tests, policy.Test{Name: name, Passed: r.Result == "PASSED" || r.Result == "WARNED", Trusted: true})
	}
	for _, name := range r.FailedTests {
		tests = append(tests, policy.Test{Name: name, Trusted: true})
	}
	if r.Result != "PASSED" && r.Result != "WARNED" && len(tests) == 0 {
		tests = append(tests, policy.Test{Name: "all", Trusted: true})
	}
	return tests
}

// gather adds to f what the evidence of a version says that a key signed which
// the trust lists for baking this image. Whatever does not verify is absent;
// evidence that cannot be read is an error.
func (s *Service) gather(ctx context.Context, t Trust, image string, d digest.Digest, f *policy.Facts) error {
	keys := t.Keys(RoleBake, image)
	if len(keys) == 0 {
		return nil
	}
	v, err := sign.NewVerifier(keys...)
	if err != nil {
		return fmt.Errorf("trust: %w", err)
	}
	signatures, err := v.VerifyImage(ctx, s.registry, image, d)
	if err := unlessAbsent(err); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, sig := range signatures {
		if !seen[sig.KeyID] {
			seen[sig.KeyID] = true
			f.Signatures = append(f.Signatures, policy.Signature{KeyID: sig.KeyID, Trusted: true})
		}
	}
	attested := func(predicateType string) ([]sign.Attestation, error) {
		found, err := v.Attestations(ctx, s.registry, image, d, predicateType)
		return found, unlessAbsent(err)
	}
	return errors.Join(gatherProvenance(f, attested), gatherSBOM(f, attested), gatherTests(f, attested))
}

// attestations finds verified attestations of a predicate type.
type attestations func(predicateType string) ([]sign.Attestation, error)

// gatherProvenance takes the provenance that speaks of this image, or any.
func gatherProvenance(f *policy.Facts, attested attestations) error {
	found, err := attested(sign.ProvenancePredicate)
	for _, a := range found {
		var p provenance
		if json.Unmarshal(a.Predicate, &p) != nil {
			continue
		}
		external := p.BuildDefinition.ExternalParameters
		if f.Provenance.Present && external.Image != f.Image {
			continue
		}
		f.Tier = external.Tier
		f.Provenance = policy.Provenance{
			Present: true, Trusted: true, Subject: string(a.Subject.Digest), Image: external.Image,
			Builder: p.RunDetails.Builder.ID, Commit: p.commit(),
		}
		if external.Image == f.Image {
			break
		}
	}
	return err
}

func gatherSBOM(f *policy.Facts, attested attestations) error {
	for _, format := range []string{sign.SPDXPredicate, sign.CycloneDXPredicate} {
		found, err := attested(format)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			f.SBOM = policy.SBOM{Present: true, Trusted: true, Format: format}
			return nil
		}
	}
	return nil
}

// gatherTests takes the results of all tests, and the scan for secrets: one
// that passed, or any.
func gatherTests(f *policy.Facts, attested attestations) error {
	found, err := attested(sign.TestPredicate)
	for _, a := range found {
		var r testResult
		if json.Unmarshal(a.Predicate, &r) != nil {
			r = testResult{} // unreadable: counts as failed
		}
		if r.isScan() {
			if scan := r.scan(); !f.Scan.Present || scan.Passed && !f.Scan.Passed {
				f.Scan = scan
			}
			continue
		}
		f.Tests = append(f.Tests, r.tests()...)
	}
	return err
}

// unlessAbsent drops the errors that say that there is no valid evidence.
func unlessAbsent(err error) error {
	if errors.Is(err, sign.ErrUnsigned) || errors.Is(err, sign.ErrInvalid) {
		return nil
	}
	return err
}

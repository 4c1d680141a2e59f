package promotion

import (
	"context"
	"encoding/json"

	"kiln/policy"
	"kiln/sign"
)

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

// tests takes the results of all tests, and the scan for secrets: one that
// passed, or any.
func (g *gatherer) tests(ctx context.Context) error {
	found, err := g.attestations(ctx, sign.TestPredicate)
	if err != nil {
		return err
	}
	for _, a := range found {
		var r testResult
		if json.Unmarshal(a.Predicate, &r) != nil {
			r = testResult{} // unreadable: counts as failed
		}
		g.rests(a.Digest)
		if r.isScan() {
			if scan := r.scan(); !g.facts.Scan.Present || scan.Passed && !g.facts.Scan.Passed {
				g.facts.Scan = scan
			}
			continue
		}
		g.facts.Tests = append(g.facts.Tests, r.tests()...)
	}
	return nil
}

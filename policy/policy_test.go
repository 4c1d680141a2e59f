package policy

import (
	"context"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	theDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	other     = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	theKey    = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
)

// endless goes through far more combinations than there is time for.
const endless = `package kiln
d := [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
allow if { some a in d; some b in d; some c in d; some e in d; some f in d; some g in d; some h in d; some i in d; some j in d; a+b+c+e+f+g+h+i+j == -1 }
`

// good are facts that the default policy allows.
func good() Facts {
	return Facts{
		Action: "promote", Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Image: "acme/shop", Tier: "app", Digest: theDigest,
		Channel: "staging", Channels: []string{"dev", "staging", "prod"}, BeenIn: []string{"dev"},
		Signatures: []Signature{{KeyID: theKey, Trusted: true}},
		Provenance: Provenance{Present: true, Trusted: true, Subject: theDigest, Image: "acme/shop"},
		SBOM:       SBOM{Present: true, Trusted: true, Format: "https://spdx.dev/Document"},
		Tests:      []Test{{Name: "healthy", Passed: true, Trusted: true}},
		Scan:       Scan{Present: true, Trusted: true, Passed: true, Rules: "r1"},
		Ancestry:   Ancestry{Known: true, Ancestors: []Ancestor{{Image: "acme/base", Digest: other}}},
	}
}

func TestDefault(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Facts)
		rules  string // denied by these, sorted, joined by a space; "" allows
		text   string // in the first reason's message or fix
	}{
		{"all there", func(*Facts) {}, "", ""},
		{"first channel needs no other", func(f *Facts) { f.Channel, f.BeenIn = "dev", nil }, "", ""},
		{"last channel", func(f *Facts) { f.Channel, f.BeenIn = "prod", []string{"staging"} }, "", ""},
		{"order", func(f *Facts) { f.BeenIn = nil }, "order", "kiln promote acme/shop@" + theDigest + " --to dev"},
		{"order skips", func(f *Facts) { f.Channel = "prod" }, "order", "never in staging"},
		{"rollback needs no order", func(f *Facts) { f.Action, f.BeenIn = "rollback", nil }, "", ""},
		{"rollback needs signatures", func(f *Facts) { f.Action, f.Signatures = "rollback", nil }, "signature", "kiln trust add"},
		{"unsigned", func(f *Facts) { f.Signatures = nil }, "signature", "no signature by a key that is trusted"},
		{"untrusted key", func(f *Facts) { f.Signatures[0].Trusted = false }, "signature", ""},
		{"one of two trusted", func(f *Facts) {
			f.Signatures = append([]Signature{{KeyID: other}}, f.Signatures...)
		}, "", ""},
		{"no provenance", func(f *Facts) { f.Provenance = Provenance{} }, "provenance", "no provenance"},
		{"untrusted provenance", func(f *Facts) { f.Provenance.Trusted = false }, "provenance", "no provenance"},
		{"provenance of another digest", func(f *Facts) { f.Provenance.Subject = other }, "provenance", other},
		{"provenance of another image", func(f *Facts) { f.Provenance.Image = "acme/base" }, "provenance", `"acme/base"`},
		{"no sbom", func(f *Facts) { f.SBOM = SBOM{} }, "sbom", "kiln attest --type spdx"},
		{"untrusted sbom", func(f *Facts) { f.SBOM.Trusted = false }, "sbom", ""},
		{"app without test", func(f *Facts) { f.Tests = nil }, "tests", "no passed test"},
		{"untrusted test", func(f *Facts) { f.Tests[0].Trusted = false }, "tests", "no passed test"},
		{"failed test", func(f *Facts) { f.Tests = append(f.Tests, Test{Name: "slow", Trusted: true}) }, "tests", "a test failed: slow"},
		{"base without test", func(f *Facts) { f.Tier, f.Tests = "base", nil }, "", ""},
		{"middleware without test", func(f *Facts) { f.Tier, f.Tests = "middleware", nil }, "", ""},
		{"base with a failed test", func(f *Facts) { f.Tier, f.Tests = "base", []Test{{Name: "t"}} }, "tests", "a test failed: t"},
		{"no scan", func(f *Facts) { f.Scan = Scan{} }, "scan", "bake it again with this kiln"},
		{"untrusted scan", func(f *Facts) { f.Scan.Trusted = false }, "scan", "no scan for secrets"},
		{"failed scan", func(f *Facts) { f.Scan.Passed = false }, "scan", "found secrets"},
		{"failed scan, what to do", func(f *Facts) { f.Scan.Passed = false }, "scan", "allow each with a reason"},
		{"base without scan", func(f *Facts) { f.Tier, f.Scan = "base", Scan{} }, "scan", ""},
		{"first channel without scan", func(f *Facts) { f.Channel, f.BeenIn, f.Scan = "dev", nil, Scan{} }, "scan", ""},
		{"rollback to a version from before scans", func(f *Facts) { f.Action, f.Scan = "rollback", Scan{} }, "", ""},
		{"rollback to a failed scan", func(f *Facts) { f.Action, f.Scan.Passed = "rollback", false }, "scan", "found secrets"},
		{"no tier", func(f *Facts) { f.Tier = "" }, "tier", ""},
		{"unknown tier", func(f *Facts) { f.Tier = "root" }, "tier", `"root"`},
		{"revoked", func(f *Facts) { f.Revoked = true }, "revoked", "is revoked"},
		{"unknown channel", func(f *Facts) { f.Channel = "qa" }, "known order", ""},
		{"no channels", func(f *Facts) { f.Channels = nil }, "known order", ""},
		{"unknown action", func(f *Facts) { f.Action = "steal" }, "known order", ""},
		{"unknown ancestry", func(f *Facts) { f.Ancestry = Ancestry{Problem: "gone"} }, "ancestry", "not known: gone"},
		{"revoked ancestor", func(f *Facts) { f.Ancestry.Ancestors[0].Revoked = true }, "ancestry", "kiln rebase acme/shop"},
		{"rollback onto a revoked ancestor", func(f *Facts) {
			f.Action, f.Ancestry.Ancestors[0].Revoked = "rollback", true
		}, "ancestry", "acme/base@" + other},
		{"no parent", func(f *Facts) { f.Ancestry.Ancestors = nil }, "", ""},
		{"nothing", func(f *Facts) { *f = Facts{} }, "ancestry known order provenance sbom scan signature tests tier", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := good()
			tc.change(&f)
			d, err := Default().Evaluate(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			var rules []string
			for _, r := range d.Reasons {
				if r.Message == "" || r.Fix == "" {
					t.Errorf("reason %+v lacks a message or what would satisfy it", r)
				}
				rules = append(rules, r.Rule)
			}
			if got := strings.Join(rules, " "); got != tc.rules || d.Allow != (tc.rules == "") {
				t.Fatalf("allow %v, denied by %q (%v), want %q", d.Allow, got, d.Reasons, tc.rules)
			}
			if tc.text != "" && !strings.Contains(d.Reasons[0].String(), tc.text) {
				t.Errorf("reason %q lacks %q", d.Reasons[0], tc.text)
			}
		})
	}
}

// FAULTS 36: a policy that is undefined, empty, erroring, endless, or reaching
// for the network never allows.
func TestBrokenPoliciesDeny(t *testing.T) {
	for _, tc := range []struct{ name, source, load, reason string }{
		{"empty", "", "empty module", ""},
		{"no rules", "package kiln", "", "leaves allow undefined"},
		{"another package", "package other\nallow := true", "", "leaves allow undefined"},
		{"undefined", "package kiln\nallow if input.nothing == 1\nx := 1", "", "leaves allow undefined"},
		{"a string", `package kiln` + "\n" + `allow := "true"`, "", "no boolean but string"},
		{"a number", "package kiln\nallow := 1", "", "no boolean"},
		{"a set", `package kiln` + "\n" + `allow contains "yes"`, "", "no boolean"},
		{"false", "package kiln\nallow := false", "", "gives no reason"},
		{"denies as well", "package kiln\nallow := true\n" + `deny contains "no"`, "", "no"},
		{"deny is no set", "package kiln\nallow := true\n" + `deny := "no"`, "", "no set"},
		{"unreadable reason", "package kiln\nallow := true\ndeny contains 7", "", "neither a string"},
		{"division by zero", "package kiln\nallow if 1 / 0 == 1\nx := 1", "", "could not be evaluated"},
		{"conflict", "package kiln\nallow := true\nallow := false", "", "could not be evaluated"},
		{"endless", endless, "", "could not be evaluated"},
		{"no Rego", "allow!", "rego_parse_error", ""},
		{"http.send", "package kiln\n" + `allow if http.send({"method": "get", "url": "http://example.invalid"}).status_code == 200`, "undefined function http.send", ""},
		{"net.lookup", "package kiln\n" + `allow if count(net.lookup_ip_addr("example.invalid")) >= 0`, "undefined function net.lookup_ip_addr", ""},
		{"opa.runtime", "package kiln\nallow if opa.runtime().env.HOME", "undefined function opa.runtime", ""},
		{"clock", "package kiln\nallow if time.now_ns() > 0", "undefined function time.now_ns", ""},
		{"certificates of the host", "package kiln\n" + `allow if crypto.x509.parse_and_verify_certificates("x")[0]`, "undefined function crypto.x509", ""},
		{"a range of any length", "package kiln\nallow if count(numbers.range(1, 9007199254740993)) > 0", "undefined function numbers.range", ""},
		{"a shift of any width", "package kiln\nallow if bits.lsh(1, 100000000000) > 0", "undefined function bits.lsh", ""},
		{"all paths of a graph", "package kiln\nallow if count(graph.reachable_paths({}, {})) == 0", "undefined function graph.reachable_paths", ""},
		{"aliases of YAML", "package kiln\n" + `allow if yaml.unmarshal("a: 1").a == 1`, "undefined function yaml.unmarshal", ""},
		{"a schema of the network", "package kiln\n" + `allow if json.match_schema({}, {})[0]`, "undefined function json.match_schema", ""},
		{"recursion", "package kiln\nallow if allow", "recursive", ""},
		{"deep nesting", "package kiln\nallow if " + strings.Repeat("[", 500_000), "rego_", ""},
		{"a giant expression to match", "package kiln\n" + `allow if regex.match("((((a{1000}){1000}){1000}){1000})", "a")` + "\nx := 1", "", "could not be evaluated"},
		{"another Rego", "package kiln\nimport rego.v9\nallow := true", "rego.v9", ""},
		{"the standard of before", "package kiln\nallow { true }", "rego_parse_error", ""},
		{"the denials in another package", "package kiln.deny\nx := 1", "", "no set"},
		{"allowed by a test", "package kiln\ntest_allow if true\nallow := input.allow", "", "allow undefined"},
		{"chance", "package kiln\n" + `allow if rand.intn("x", 2) == 1`, "undefined function rand.intn", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, err := Load(map[string][]byte{"p.rego": []byte(tc.source)})
			if tc.load != "" {
				if err == nil || !strings.Contains(err.Error(), tc.load) {
					t.Fatalf("load says %v, want %q", err, tc.load)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p.timeout = 300 * time.Millisecond
			d, err := p.Evaluate(t.Context(), good())
			if d.Allow || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0].Message, tc.reason) {
				t.Fatalf("decision %+v, want a denial that says %q", d, tc.reason)
			}
			if failed := strings.Contains(d.Reasons[0].Message, "could not be evaluated"); failed != (err != nil) {
				t.Errorf("error %v beside %q", err, d.Reasons[0].Message)
			}
		})
	}
}

func TestNoPolicyDenies(t *testing.T) {
	var none *Policy
	if d, err := none.Evaluate(t.Context(), good()); d.Allow || err == nil {
		t.Errorf("decision %+v, error %v", d, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := Default().Evaluate(ctx, good()); d.Allow || err == nil {
		t.Errorf("cancelled: decision %+v, error %v", d, err)
	}
	if _, err := Load(map[string][]byte{"a.rego": make([]byte, MaxSource+1)}); err == nil {
		t.Error("a giant policy is loaded")
	}
}

func TestDigests(t *testing.T) {
	f := good()
	a, err := FactsDigest(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Now = f.Now.In(time.FixedZone("x", 3600)).Add(time.Millisecond)
	if b, _ := FactsDigest(f); a != b {
		t.Error("the time zone is in the digest of the facts")
	}
	text, err := f.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseFacts(text)
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := FactsDigest(back); a != b {
		t.Error("facts do not survive their text")
	}
	f.Image = "acme/other"
	if b, _ := FactsDigest(f); a == b {
		t.Error("the image is not in the digest of the facts")
	}
	load := func(files map[string][]byte) string {
		p, err := Load(files)
		if err != nil {
			t.Fatal(err)
		}
		return string(p.Digest())
	}
	text1, text2 := []byte("package kiln\n"), []byte("package kiln\nallow := true\n")
	if load(map[string][]byte{"a": text1, "b": text2}) == load(map[string][]byte{"a": text2, "b": text1}) {
		t.Error("a policy's digest does not hold which file is which")
	}
	d, err := Default().Evaluate(t.Context(), good())
	if err != nil || d.Policy != string(Default().Digest()) || d.Facts != string(a) {
		t.Errorf("decision %+v (%v) does not name policy and facts", d, err)
	}
}

// Whatever the facts, the default policy allows only what has every proof.
func TestDefaultNeverAllowsLess(t *testing.T) {
	p := Default()
	flag := rapid.Bool()
	text := rapid.SampledFrom([]string{"", "acme/shop", "acme/base", theDigest, other, "app", "base"})
	rapid.Check(t, func(t *rapid.T) {
		f := good()
		f.Tier = text.Draw(t, "tier")
		f.Image = text.Draw(t, "image")
		f.Revoked = flag.Draw(t, "revoked")
		f.Provenance = Provenance{Present: flag.Draw(t, "p"), Trusted: flag.Draw(t, "pt"), Subject: text.Draw(t, "subject"), Image: text.Draw(t, "pi")}
		f.SBOM = SBOM{Present: flag.Draw(t, "s"), Trusted: flag.Draw(t, "st")}
		f.Signatures = []Signature{{KeyID: text.Draw(t, "key"), Trusted: flag.Draw(t, "kt")}}
		f.Tests = []Test{{"t", flag.Draw(t, "passed"), flag.Draw(t, "tt")}}
		f.Scan = Scan{Present: flag.Draw(t, "scan"), Trusted: flag.Draw(t, "scant"), Passed: flag.Draw(t, "scanp")}
		d, err := p.Evaluate(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		test := f.Tests[0]
		want := f.Image != "" && !f.Revoked && f.Signatures[0].Trusted && f.Signatures[0].KeyID != "" &&
			f.Provenance.Present && f.Provenance.Trusted && f.Provenance.Subject == f.Digest && f.Provenance.Image == f.Image &&
			f.SBOM.Present && f.SBOM.Trusted && test.Passed && f.Scan.Present && f.Scan.Trusted && f.Scan.Passed &&
			(f.Tier == "base" || f.Tier == "app" && test.Trusted)
		if d.Allow != want || want != (len(d.Reasons) == 0) {
			t.Fatalf("allow %v (%v), want %v for %+v", d.Allow, d.Reasons, want, f)
		}
	})
}

func FuzzFacts(f *testing.F) {
	text, _ := good().Canonical()
	f.Add(text)
	f.Add([]byte(`{"channels":null}`))
	p := Default()
	f.Fuzz(func(t *testing.T, text []byte) {
		facts, err := ParseFacts(text)
		if err != nil {
			return
		}
		if d, err := p.Evaluate(context.Background(), facts); err == nil && d.Allow && (facts.Revoked || len(facts.Signatures) == 0) {
			t.Fatalf("%s is allowed", text)
		}
	})
}

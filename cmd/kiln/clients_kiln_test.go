//go:build full

package main

import (
	"encoding/json"
	"strings"

	"kiln/registry/promotion"
)

// read runs a kiln command with --json.
func (s *served) read(into any, args ...string) {
	s.t.Helper()
	out := s.run(append(args, "--json")...)
	if err := json.Unmarshal(out, into); err != nil {
		s.t.Fatalf("kiln %v prints %s: %v", args, out, err)
	}
}

// resolved asks for a channel with keys.
func (s *served) resolved(channel string) string {
	s.t.Helper()
	return strings.TrimSpace(string(s.run("resolve", "acme/shop", "--channel", channel,
		"--verify-key", "bake.pub", "--promotion-key", "promote.pub", "--format", "ref")))
}

// testChannels promotes, and asks about it as a deployer and as a person.
func (s *served) testChannels() {
	shop := s.image("acme/shop")
	if got := s.resolved("dev"); got != s.ref("acme/shop") {
		s.t.Errorf("dev is %s, want %s", got, s.ref("acme/shop"))
	}
	var p promotion.Promotion
	s.read(&p, "promote", "acme/shop@"+string(shop.Digest), "--to", "staging", "--reason", "release", "--expect", "none")
	if p.Schema != "kiln.promotion/v1" || p.Channel != "staging" || p.Digest != shop.Digest || p.Previous != "" || p.Sequence != 2 {
		s.t.Errorf("promotion %+v", p)
	}
	again := p
	s.read(&again, "promote", "acme/shop:"+shop.Tag, "--to", "staging")
	if again.Record != p.Record || again.Sequence != 2 {
		s.t.Errorf("promoting the same again makes %+v, want %+v", again, p)
	}
	var answer resolved
	s.read(&answer, "resolve", "acme/shop", "--channel", "staging", "--verify-key", "bake.pub", "--promotion-key", "promote.pub")
	if !answer.Verified || answer.Digest != shop.Digest || answer.Sequence != 2 {
		s.t.Errorf("resolve %+v", answer)
	}
	var h promotion.History
	s.read(&h, "history", "acme/shop")
	if len(h.Entries) != 2 || h.Entries[0].Channel != "staging" || h.Entries[0].Reason != "release" || h.Entries[1].Channel != "dev" {
		s.t.Errorf("history %+v", h)
	}
	var v promotion.Versions
	s.read(&v, "versions", "acme/shop")
	if len(v.Versions) != 1 || v.Versions[0].Digest != shop.Digest || strings.Join(v.Versions[0].Channels, " ") != "dev staging" {
		s.t.Errorf("versions %+v", v)
	}
	if out := string(s.run("channels", "acme/shop")); !strings.Contains(out, "staging") {
		s.t.Errorf("channels %s", out)
	}
	if out := string(s.run("images")); !strings.Contains(out, "acme/runtime") {
		s.t.Errorf("images %s", out)
	}
	s.testTrust()
}

// testTrust verifies with the right key and no other, and lists the keys.
func (s *served) testTrust() {
	s.t.Helper()
	ref := "acme/shop@" + string(s.image("acme/shop").Digest)
	var report verifyReport
	s.read(&report, "verify", ref, "--key", "bake.pub")
	kinds := map[string]int{}
	for _, a := range report.Attestations {
		kinds[a.PredicateType]++
	}
	if len(report.Signatures) != 2 || kinds["https://spdx.dev/Document"] != 1 || kinds["https://slsa.dev/provenance/v1"] != 1 ||
		kinds["https://in-toto.io/attestation/test-result/v0.1"] == 0 {
		s.t.Errorf("verified %+v", report)
	}
	s.exits(exitUnverified, "verify", ref, "--key", "promote.pub")
	var trust promotion.Trust
	s.read(&trust, "trust", "list")
	roles := map[promotion.Role]int{}
	for _, e := range trust.Entries {
		roles[e.Role]++
	}
	if len(trust.Entries) != 2 || roles[promotion.RoleBake] != 1 || roles[promotion.RolePromote] != 1 {
		s.t.Errorf("trust %+v", trust)
	}
}

// testSecondVersion moves dev on with a change of the app and back again.
func (s *served) testSecondVersion() {
	first := s.image("acme/shop").Digest
	s.change("second")
	second := s.bakeAgain("--promote", "dev").Images
	for _, img := range second {
		if img.Built != (img.Image == "acme/shop") {
			s.t.Errorf("after a change of the app: %+v", img)
		}
	}
	if got := s.resolved("dev"); got == s.ref("acme/shop") || s.resolved("staging") != s.ref("acme/shop") {
		s.t.Errorf("dev is %s, staging %s, before it was %s", got, s.resolved("staging"), s.ref("acme/shop"))
	}
	var p promotion.Promotion
	s.read(&p, "rollback", "acme/shop", "--channel", "dev", "--reason", "broken")
	if p.Digest != first || p.Previous == first || p.Previous == "" {
		s.t.Errorf("rollback %+v, want to %s", p, first)
	}
	if got := s.resolved("dev"); got != s.ref("acme/shop") {
		s.t.Errorf("dev is %s, want %s", got, s.ref("acme/shop"))
	}
	if got := s.ask("crane", "digest", s.host+"/acme/shop:dev"); got != string(first) {
		s.t.Errorf("crane sees %s, want %s", got, first)
	}
	var page promotion.Versions
	s.read(&page, "versions", "acme/shop", "--limit", "1")
	if len(page.Versions) != 1 || page.Next == "" {
		s.t.Fatalf("first page %+v", page)
	}
	s.read(&page, "versions", "acme/shop", "--limit", "1", "--cursor", page.Next)
	if len(page.Versions) != 1 || page.Versions[0].Digest != first {
		s.t.Errorf("second page %+v", page)
	}
}

// testRefusals wants the exit codes that an embedded store gives.
func (s *served) testRefusals() {
	ref := "acme/shop@" + string(s.image("acme/shop").Digest)
	base := "acme/base@" + string(s.image("acme/base").Digest)
	if out := s.exits(exitDenied, "promote", base, "--to", "prod"); !strings.Contains(out, "staging") {
		s.t.Errorf("the refusal does not name the channel before: %s", out)
	}
	s.exits(exitConflict, "promote", ref, "--to", "prod", "--expect", ref[len("acme/shop@"):])
	s.exits(exitNotFound, "promote", "acme/shop@sha256:"+strings.Repeat("0", 64), "--to", "dev")
	s.exits(exitNotFound, "resolve", "acme/shop", "--channel", "prod")
	s.exits(exitNotFound, "rollback", "acme/shop", "--channel", "staging")
	s.exits(exitUnverified, "resolve", "acme/shop", "--channel", "dev", "--verify-key", "promote.pub", "--promotion-key", "bake.pub")
	s.keys("other")
	s.exits(exitDenied, "bake", "shop", "--key", "other.key")
}

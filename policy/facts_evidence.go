package policy

import "time"

// Signature is a signature of the image whose claims and key were checked.
type Signature struct {
	Identity *Identity  `json:"identity"`  // null for a key
	KeyID    string     `json:"key_id"`    // "sha256:" and the hex digest of the DER SubjectPublicKeyInfo; "" for an identity
	SignedAt *time.Time `json:"signed_at"` // verified timestamp or log time; null if unknown
	Trusted  bool       `json:"trusted"`   // the store's trust lists the key or identity for baking this image
}

// Identity is what a certificate of a signature names.
type Identity struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// Provenance is what the SLSA provenance of the version says.
type Provenance struct {
	Builder      string       `json:"builder"`      // runDetails.builder.id
	Commit       string       `json:"commit"`       // git commit of the template, "" if unknown
	Dependencies []Dependency `json:"dependencies"` // resolvedDependencies
	Dirty        *bool        `json:"dirty"`        // files differed from the commit; null if unknown
	Hermetic     bool         `json:"hermetic"`     // no step had a network; false if unknown
	Image        string       `json:"image"`        // externalParameters.image
	KeyID        string       `json:"key_id"`       // that signed it, or "identity:" issuer "#" subject
	Present      bool         `json:"present"`
	Recipe       string       `json:"recipe"`     // digest of the recipe or template, "" if unknown
	Repository   string       `json:"repository"` // URI of the template's source, without commit; "" if unknown
	Steps        []Step       `json:"steps"`      // of the recipe, in order
	Subject      string       `json:"subject"`    // digest that it speaks of
	Trusted      bool         `json:"trusted"`    // signed by a key that the trust lists for baking this image
}

// Step is one step of the attested recipe.
type Step struct {
	Kind    string `json:"kind"` // packages, run, copy, …
	Name    string `json:"name"`
	Network bool   `json:"network"` // it had a network
}

// Dependency is one resolved input of a build.
type Dependency struct {
	Digest string `json:"digest"` // algorithm, colon, hex; "" if none
	Name   string `json:"name"`   // parent, source, template, … or ""
	URI    string `json:"uri"`
}

// SBOM is what the software bills of materials list, all that are trusted
// together.
type SBOM struct {
	Format   string    `json:"format"`   // predicate type of the first
	Formats  []string  `json:"formats"`  // predicate types
	Packages []Package `json:"packages"` // sorted by type, name, version
	Present  bool      `json:"present"`
	Trusted  bool      `json:"trusted"`
}

// Package is one piece of software in the image.
type Package struct {
	Licenses []string `json:"licenses"` // SPDX ids or expressions; none if unknown
	Name     string   `json:"name"`
	PURL     string   `json:"purl"` // package URL, "" if none
	Type     string   `json:"type"` // of the package URL: deb, npm, golang, …
	Version  string   `json:"version"`
}

// Test is the attested result of one test.
type Test struct {
	Name    string `json:"name"`
	Passed  bool   `json:"passed"`
	Trusted bool   `json:"trusted"`
}

// Scan says what the attested scan for secrets found, and what it saw exposed.
// Of several one that passed counts: a trusted key allowed what others found.
type Scan struct {
	Allowed      int      `json:"allowed"` // secrets that the template allows, with a reason
	Capabilities []string `json:"capabilities"`
	Passed       bool     `json:"passed"` // no secret was found that nobody allowed
	Ports        []string `json:"ports"`
	Present      bool     `json:"present"`
	Root         bool     `json:"root"`  // runs as root
	Rules        string   `json:"rules"` // digest of the rules, hex
	Setgid       []string `json:"setgid"`
	Setuid       []string `json:"setuid"`
	Trusted      bool     `json:"trusted"`
	Writable     []string `json:"world_writable"`
}

// Vulnerabilities is the newest trusted report of a vulnerability scanner.
type Vulnerabilities struct {
	Findings  []Finding  `json:"findings"`
	Present   bool       `json:"present"`
	ScannedAt *time.Time `json:"scanned_at"` // null if the report does not say
	Scanner   string     `json:"scanner"`    // URI of the scanner
	Trusted   bool       `json:"trusted"`
}

// Finding is one vulnerability of one package.
type Finding struct {
	FixedIn  string `json:"fixed_in"` // version, "" if none is known
	ID       string `json:"id"`       // CVE, GHSA, DSA, …
	Package  string `json:"package"`
	Severity string `json:"severity"` // critical, high, medium, low, negligible or unknown
	State    string `json:"state"`    // fixed, not_fixed, wont_fix or unknown
	Version  string `json:"version"`  // that is installed
}

func (s Signature) normal() Signature {
	s.SignedAt = second(s.SignedAt)
	return s
}

func (p Provenance) normal() Provenance {
	p.Dependencies, p.Steps = nonNil(p.Dependencies), nonNil(p.Steps)
	return p
}

func (s SBOM) normal() SBOM {
	s.Formats = nonNil(s.Formats)
	s.Packages = each(s.Packages, func(p Package) Package {
		p.Licenses = nonNil(p.Licenses)
		return p
	})
	return s
}

func (s Scan) normal() Scan {
	for _, list := range []*[]string{&s.Setuid, &s.Setgid, &s.Writable, &s.Capabilities, &s.Ports} {
		*list = nonNil(*list)
	}
	return s
}

func (v Vulnerabilities) normal() Vulnerabilities {
	v.Findings, v.ScannedAt = nonNil(v.Findings), second(v.ScannedAt)
	return v
}

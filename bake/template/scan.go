package template

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// What a bake does with an image that holds secrets.
const (
	SecretsDeny = "deny" // it fails: nothing is stored
	SecretsWarn = "warn" // it says so, attests that the scan failed, and goes on
)

// Scan says how the scan for secrets sees an image.
type Scan struct {
	Secrets string // SecretsDeny or SecretsWarn
	Allow   []Allow
}

// Allow lets secrets pass, for a reason that is attested. Fields that are
// empty match everything; one besides Reason is not.
type Allow struct {
	Reason string
	Path   string // pattern of absolute paths, ** for any folders; or a place such as "env NAME"
	Rule   string // of the scanner, as its findings name it
	SHA256 string // of the file's content, in hex
	Pos    Pos    `json:"-"` // says nothing of what is allowed
}

// Covers tells whether a finding is allowed. path is "" for one that is in no
// file: then where says what it is in.
func (a Allow) Covers(file, where, rule, sum string) bool {
	if a.Rule != "" && a.Rule != rule || a.SHA256 != "" && a.SHA256 != sum {
		return false
	}
	if a.Path == "" {
		return true
	}
	if file == "" {
		return doublestar.MatchUnvalidated(a.Path, where)
	}
	archive, _, _ := strings.Cut(file, "!") // that holds it
	for _, glob := range []string{a.Path, strings.TrimSuffix(a.Path, "/") + "/**"} {
		if doublestar.MatchUnvalidated(glob, file) || doublestar.MatchUnvalidated(glob, archive) {
			return true
		}
	}
	return false
}

// scan reads the scan block; without one secrets are denied.
func (l *loader) scan(image *section) Scan {
	s := image.block("scan")
	if s == nil {
		return Scan{Secrets: SecretsDeny}
	}
	scan := Scan{Secrets: s.text("secrets")}
	switch scan.Secrets {
	case SecretsDeny, SecretsWarn:
	case "":
		scan.Secrets = SecretsDeny
	default:
		s.wrong("secrets", `write "deny" or "warn"`, "there is no way %q to treat secrets", scan.Secrets)
	}
	for _, b := range s.blocks("allow", 1) {
		a := s.child(b)
		allow := Allow{Reason: strings.TrimSpace(b.Labels[0]), Path: a.text("path"), Rule: a.text("rule"), SHA256: a.text("sha256"), Pos: l.pos(b.DefRange())}
		l.checkRule(a, allow.Rule)
		a.done()
		if problem := allow.problem(); problem != "" {
			a.add(b.DefRange(), a.where, `write allow "why it is no secret" { path = "/usr/share/doc/**" }`, "%s", problem)
		}
		scan.Allow = append(scan.Allow, allow)
	}
	s.done()
	return scan
}

// checkRule notes a rule that the scanner does not have: it would allow nothing.
func (l *loader) checkRule(a *section, rule string) {
	if rule == "" || l.opts.Rules == nil {
		return
	}
	known := l.opts.Rules()
	if len(known) == 0 || slices.Contains(known, rule) {
		return
	}
	hint := DidYouMean(rule, known)
	if hint == "" {
		hint = "what a bake finds names its rule"
	}
	a.wrong("rule", hint, "there is no rule %q for secrets", rule)
}

func (a Allow) problem() string {
	switch {
	case a.Reason == "":
		return "the reason is empty"
	case a.Path == "" && a.SHA256 == "":
		return "neither path nor sha256 says what is allowed"
	case a.SHA256 != "" && !sha256RE().MatchString(a.SHA256):
		return fmt.Sprintf("sha256 %q is not 64 hexadecimal digits in lower case", a.SHA256)
	}
	if !doublestar.ValidatePattern(a.Path) {
		return fmt.Sprintf("path %q is no pattern", a.Path)
	}
	return ""
}

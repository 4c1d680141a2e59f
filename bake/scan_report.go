package bake

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
)

// ScanReport is what was found in an image. It holds no secret.
type ScanReport struct {
	Rules   string         `json:"rules"`             // of the Scanner, hex
	Allow   string         `json:"allow"`             // digest of the template's allow list, hex
	Secrets []FoundSecret  `json:"secrets,omitempty"` // that nothing allows
	Allowed []FoundSecret  `json:"allowed,omitempty"` // with the reason
	Known   map[string]int `json:"known,omitempty"`   // by reason, how many were passed over
	Layers  int            `json:"layers"`
	Files   int            `json:"files"` // read as text
	Unread  unread         `json:"unread,omitempty"`
	Exposed Exposure       `json:"exposed"`
	// Packages that files of the image describe, for the SBOM.
	Packages []foundPackage `json:"packages,omitempty"`
	Used     []int          `json:"used,omitempty"` // of the allow list, what covers a secret; sorted
}

// FoundSecret is a secret and where it is.
type FoundSecret struct {
	Where string `json:"where"` // the step of the layer, or the part of the configuration
	Path  string `json:"path,omitempty"`
	Secret
	SHA256 string `json:"sha256,omitempty"` // of the file
	Reason string `json:"reason,omitempty"` // of what allows it
}

func (f FoundSecret) String() string {
	at := f.Where
	if f.Path != "" {
		at += ": " + fmt.Sprintf("%q", f.Path)
	}
	if f.Line > 0 {
		at += fmt.Sprintf(" line %d", f.Line)
	}
	if f.Masked == "" { // found by another machine, which told no more
		return at + ": " + f.Rule
	}
	return fmt.Sprintf("%s: %s: %q", at, f.Rule, f.Masked)
}

func newReport(rules string, allow []template.Allow) *ScanReport {
	return &ScanReport{Rules: rules, Allow: key("scan allow", allow), Known: map[string]int{}, Unread: unread{}}
}

// layer adds what was found in a layer.
func (r *ScanReport) layer(name string, found *layerScan, allow []template.Allow) {
	r.Layers++
	r.Files += found.Files
	r.Unread.merge(found.Unread)
	for _, f := range found.Found {
		r.add(FoundSecret{Where: name, Path: f.Path, Secret: f.Secret, SHA256: f.SHA256}, allow)
	}
}

// add sorts a secret in: allowed, known to be none, or found.
func (r *ScanReport) add(f FoundSecret, allow []template.Allow) {
	if f.Known != "" {
		r.Known[f.Known]++
		return
	}
	covered := false
	for i, a := range allow {
		if !a.Covers(f.Path, f.Where, f.Rule, f.SHA256) {
			continue
		}
		if at, found := slices.BinarySearch(r.Used, i); !found {
			r.Used = slices.Insert(r.Used, at, i)
		}
		if !covered {
			f.Reason, covered = a.Reason, true
		}
	}
	if covered {
		r.Allowed = append(r.Allowed, f)
		return
	}
	r.Secrets = append(r.Secrets, f)
}

func compareSecrets(a, b fileSecret) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Masked, b.Masked))
}

// scanConfig looks for secrets in what an image says of itself.
func (b *Builder) scanConfig(img *Image, report *ScanReport, allow []template.Allow) error {
	config, err := img.Image.ConfigFile()
	if err != nil {
		return err
	}
	manifest, err := img.Image.Manifest()
	if err != nil {
		return err
	}
	texts := configTexts(config, manifest)
	k := key("scan texts", scanForm, b.Scanner.Rules(), texts) + ".json"
	var found []FoundSecret
	if !b.cache.load(&found, "scans", k) {
		if found, err = b.scanTexts(texts); err != nil {
			return err
		}
		if err := b.cache.save(found, "scans", k); err != nil {
			return err
		}
	}
	for _, f := range found {
		report.add(f, allow)
	}
	return nil
}

func (b *Builder) scanTexts(texts []configText) ([]FoundSecret, error) {
	var all []FoundSecret
	for _, t := range texts {
		found, err := b.Scanner.Find(path.Base(t.Where), []byte(t.Text))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			f.Line = 0
			all = append(all, FoundSecret{Where: t.Where, Secret: f})
		}
	}
	return all, nil
}

// configText is a text that is no file.
type configText struct{ Where, Text string }

// configTexts lists the texts of a configuration and a manifest.
func configTexts(config *v1.ConfigFile, manifest *v1.Manifest) []configText {
	var list []configText
	for _, kv := range config.Config.Env {
		name, _, _ := strings.Cut(kv, "=")
		list = append(list, configText{"env " + name, kv})
	}
	pairs := func(what string, m map[string]string) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			list = append(list, configText{what + " " + k, k + "=" + m[k]})
		}
	}
	pairs("label", config.Config.Labels)
	pairs("annotation", manifest.Annotations)
	for i, h := range config.History {
		list = append(list, configText{fmt.Sprintf("history %d", i+1), h.CreatedBy + "\n" + h.Comment})
	}
	list = append(list,
		configText{"entrypoint", strings.Join(config.Config.Entrypoint, " ")},
		configText{"cmd", strings.Join(config.Config.Cmd, " ")})
	if h := config.Config.Healthcheck; h != nil {
		list = append(list, configText{"healthcheck", strings.Join(h.Test, " ")})
	}
	return list
}

package bake

import (
	"archive/tar"
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
	"kiln/layers"
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

// Exposure is what of an image others can reach or use: facts, not faults.
type Exposure struct {
	Setuid       []string `json:"setuid"`
	Setgid       []string `json:"setgid"`
	Writable     []string `json:"world_writable"` // by all, without the sticky bit
	Capabilities []string `json:"capabilities"`   // files that have some
	Ports        []string `json:"ports"`
	Root         bool     `json:"root"` // it runs as root unless told otherwise
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
	for _, p := range slices.Sorted(maps.Keys(found.Capable)) {
		r.Exposed.Capabilities = append(r.Exposed.Capabilities, p+"\x00"+found.Capable[p])
	}
}

// add sorts a secret in: allowed, known to be none, or found.
func (r *ScanReport) add(f FoundSecret, allow []template.Allow) {
	if f.Known != "" {
		r.Known[f.Known]++
		return
	}
	for _, a := range allow {
		if a.Covers(f.Path, f.Where, f.Rule, f.SHA256) {
			f.Reason = a.Reason
			r.Allowed = append(r.Allowed, f)
			return
		}
	}
	r.Secrets = append(r.Secrets, f)
}

// expose lists what the merged tree and the configuration expose.
func (r *ScanReport) expose(ix *layers.Index, config *v1.ConfigFile) {
	capable := r.Exposed.Capabilities
	e := Exposure{Setuid: []string{}, Setgid: []string{}, Writable: []string{}, Capabilities: []string{}}
	for _, p := range ix.Paths() {
		n, _ := ix.Node(p)
		at := "/" + p
		if n.Type == tar.TypeReg && n.Mode&0o4000 != 0 {
			e.Setuid = append(e.Setuid, at)
		}
		if n.Type == tar.TypeReg && n.Mode&0o2000 != 0 {
			e.Setgid = append(e.Setgid, at)
		}
		if (n.Type == tar.TypeReg || n.IsDir()) && n.Mode&0o1002 == 0o002 {
			e.Writable = append(e.Writable, at)
		}
	}
	for _, c := range capable {
		p, content, _ := strings.Cut(c, "\x00")
		if n, ok := ix.Node(strings.TrimPrefix(p, "/")); ok && n.Digest == content && !slices.Contains(e.Capabilities, p) {
			e.Capabilities = append(e.Capabilities, p)
		}
	}
	e.Ports = append([]string{}, slices.Sorted(maps.Keys(config.Config.ExposedPorts))...)
	user, _, _ := strings.Cut(config.Config.User, ":")
	e.Root = user == "" || user == "0" || user == "root"
	r.Exposed = e
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
	for _, t := range configTexts(config, manifest) {
		found, err := b.Scanner.Find(path.Base(t.where), []byte(t.text))
		if err != nil {
			return err
		}
		for _, f := range found {
			f.Line = 0
			report.add(FoundSecret{Where: t.where, Secret: f}, allow)
		}
	}
	return nil
}

// configText is a text that is no file.
type configText struct{ where, text string }

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

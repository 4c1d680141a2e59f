package bake

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
)

// Scanner finds what looks like a secret in text. It is safe for concurrent
// use, and what it finds follows from its arguments and Rules alone.
type Scanner interface {
	// Find looks into a text and its name, which is a path in the image or says
	// where else the text stands; nil is the content of what is no text.
	Find(name string, text []byte) ([]Secret, error)
	// Rules is the digest of all that decides on what Find finds, in hex.
	Rules() string
}

// Secret is what looks like one. It never holds the secret itself.
type Secret struct {
	Rule   string `json:"rule"`
	Line   int    `json:"line,omitempty"` // from 1; 0 for the file as such
	Masked string `json:"masked"`         // how it begins
	Guess  bool   `json:"guess,omitempty"`
	Known  string `json:"known,omitempty"` // why it is none; "" if it counts
}

// SecretsError says which secrets an image holds.
type SecretsError struct {
	Image string
	Found []FoundSecret
}

// maxListed bounds how many secrets an error lists.
const maxListed = 20

func (e *SecretsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "image %q holds what looks like secrets:", e.Image)
	for _, f := range e.Found[:min(len(e.Found), maxListed)] {
		fmt.Fprintf(&b, "\n  %s", f)
	}
	if more := len(e.Found) - maxListed; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	b.WriteString("\n  keep each out of the step that adds it: deleting it in a later step leaves it in the layer; " +
		`if it is none, allow it with a reason: scan { allow "why" { path = "…" } }`)
	return b.String()
}

// Scan looks for secrets in every layer of a built image and in its
// configuration, and lists what is exposed, before it is tested and stored.
// A secret that the template does not allow is a *SecretsError, unless the
// image's scan block only warns. Layers are looked into once for the same
// rules. Without a Scanner it does nothing: the image carries no result then.
func (b *Builder) Scan(ctx context.Context, img *Image) error {
	if b.Scanner == nil {
		return nil
	}
	recipe := img.Recipe
	allow := allowances(recipe)
	entry := "image-" + key("scan image", scanForm, "used", img.Digest, b.Scanner.Rules(), allow)
	chain, err := chainOf(img.Image)
	if err != nil {
		return fmt.Errorf("%s: image %q: scan: %w", recipe.Pos, recipe.Name, err)
	}
	report := &ScanReport{}
	if !b.answer(ctx, report, chain, "scans", entry) {
		if report, err = b.scanImage(ctx, img, allow); err != nil {
			return fmt.Errorf("%s: image %q: scan: %w", recipe.Pos, recipe.Name, err)
		}
		if err := b.keepAnswer(ctx, report, chain, "scans", entry); err != nil {
			return err
		}
	}
	img.Scan = report
	b.noteAllowed(recipe, report.Used)
	if len(report.Secrets) == 0 {
		return nil
	}
	if recipe.Scan.Secrets == template.SecretsWarn {
		return nil
	}
	return fmt.Errorf("%s: %w", recipe.Pos, &SecretsError{Image: recipe.Name, Found: report.Secrets})
}

// allowances are an image's own and those of what it is from in the template:
// their layers are its layers.
func allowances(recipe *template.Image) []template.Allow {
	var list []template.Allow
	for im := recipe; im != nil; im = im.From.Image {
		list = append(list, im.Scan.Allow...)
	}
	return list
}

// scanForm is raised when the same rules make another report.
const scanForm = 4

// scanImage looks into all layers and the configuration.
func (b *Builder) scanImage(ctx context.Context, img *Image, allow []template.Allow) (*ScanReport, error) {
	all, err := img.Image.Layers()
	if err != nil {
		return nil, err
	}
	report := newReport(b.Scanner.Rules(), allow)
	names := layerNames(img, len(all))
	var marks []mark
	for i, l := range all {
		found, err := b.scanLayer(ctx, img, l)
		if err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i+1, names[i], err)
		}
		report.layer(names[i], found, allow)
		if i == 0 {
			marks, report.Packages = found.Marks, found.Packages
			continue
		}
		above, err := b.index(ctx, l)
		if err != nil {
			return nil, fmt.Errorf("layer %d (%s): %w", i+1, names[i], err)
		}
		marks = covered(marks, above, found.Marks)
		report.Packages = uncovered(report.Packages, above, found.Packages)
	}
	if err := b.scanConfig(img, report, allow); err != nil {
		return nil, err
	}
	config, err := img.Image.ConfigFile()
	if err != nil {
		return nil, err
	}
	report.expose(marks, config)
	return report, nil
}

// layerNames says of each layer which step made it, bottom first.
func layerNames(img *Image, n int) []string {
	names := make([]string, n)
	var own []string
	for at := img; at != nil; at = at.Parent {
		var steps []string
		for _, s := range at.Steps {
			if s.layer != nil {
				steps = append(steps, s.Step)
				if at != img {
					steps[len(steps)-1] = at.Name + ": " + s.Step
				}
			}
		}
		own = slices.Concat(steps, own)
	}
	for i := range names {
		if at := i - (n - len(own)); at >= 0 {
			names[i] = own[at]
			continue
		}
		names[i] = "of the parent"
	}
	return names
}

// scanLayer looks into one layer, or knows what an earlier bake found.
func (b *Builder) scanLayer(ctx context.Context, img *Image, l v1.Layer) (*layerScan, error) {
	diff, err := l.DiffID()
	if err != nil {
		return nil, err
	}
	end, err := b.making.wait(ctx, "scan "+diff.Hex)
	if err != nil {
		return nil, err
	}
	defer end()
	if found, ok := b.knownScan(ctx, diff); ok {
		return found, nil
	}
	found, err := b.scanFiles(ctx, img, l)
	if err == nil && found == nil {
		found, err = b.scanWhole(ctx, l)
	}
	if err != nil {
		return nil, err
	}
	if err := b.plainTexts().keep(); err != nil {
		return nil, err
	}
	return found, b.cache.save(found, "scans", b.scanEntry(diff))
}

// scanWhole reads a layer.
func (b *Builder) scanWhole(ctx context.Context, l v1.Layer) (*layerScan, error) {
	content, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	return scanTar(ctx, b.plainTexts(), content, maxExpanded)
}

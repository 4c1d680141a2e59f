package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/registry"
)

// cascadeOptions are the flags of kiln cascade.
type cascadeOptions struct {
	remakeOptions
	plan bool
}

func (a *app) cascadeCommand() *cobra.Command {
	var o cascadeOptions
	cmd := &cobra.Command{
		Use:   "cascade BASE@DIGEST",
		Short: "Rebase everything that was baked on older versions of an image",
		Long: "cascade rebases the newest version of each image that was baked on another version of BASE, then what was\n" +
			"baked on those, and so on, parents first. Where one cannot be rebased its branch ends there, and the others\n" +
			"go on; then the exit code is 1. Run again it goes on with what is left.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(cmd.Context(), func() error { return a.cascade(cmd.Context(), args[0], o) })
		},
	}
	cmd.Flags().BoolVar(&o.plan, "plan", false, "print what would be rebased, and rebase nothing")
	o.register(cmd)
	return cmd
}

func (a *app) cascade(ctx context.Context, ref string, o cascadeOptions) error {
	started := time.Now()
	base, err := storeRef(ref)
	if err != nil {
		return err
	}
	if a.json {
		a.events = newJSONEvents(a.err, o.verbose)
		defer func() { a.events = nil }()
	}
	m, err := a.remaker(ctx, o.remakeOptions)
	if err != nil {
		return err
	}
	defer m.close()
	if base.Digest, err = a.fix(ctx, m.backend.registry, base); err != nil {
		return err
	}
	base.Tag = ""
	if err := m.checkParent(ctx, base); err != nil {
		return err
	}
	all, err := m.descendants(ctx, base)
	if err != nil {
		return err
	}
	m.settleAll(all)
	if !o.plan {
		err = m.rebaseAll(ctx, all)
		if err != nil && !slices.ContainsFunc(all, func(d *descendant) bool { return d.baked != nil }) {
			return err
		}
	}
	if printed := a.printCascade(base, all, o.plan, time.Since(started)); err == nil {
		err = printed
	}
	return err
}

// What becomes of an image in a cascade.
const (
	cascadePlanned = "planned"
	cascadeRebased = "rebased"
	cascadeThere   = "unchanged" // that very version was there
	cascadeBroken  = "broken"
	cascadeSkipped = "skipped" // its parent is broken, or it is not signed
)

// settleAll decides which images can be rebased as far as that is known before.
func (m *remaker) settleAll(all []*descendant) {
	for _, d := range all {
		if d.below != nil && d.below.status != cascadePlanned {
			d.status, d.err = cascadeSkipped, fmt.Errorf("%s, which it is from, is not rebased", d.below.image)
			d.plain = d.below.plain
			continue
		}
		if d.plain {
			d.status, d.err = cascadeSkipped, errors.New("its newest version is not signed, and a signed one believes no unsigned one")
			continue
		}
		if d.err == nil {
			if d.below != nil {
				d.onto = d.below.remade
			}
			d.err = m.settle(d.remade)
		}
		if d.status = cascadePlanned; d.err != nil {
			d.status = cascadeBroken
		}
	}
}

// rebaseAll bakes what was planned and notes what became of each.
func (m *remaker) rebaseAll(ctx context.Context, all []*descendant) error {
	var list []*remade
	by := map[string]*descendant{}
	for _, d := range all {
		if d.status == cascadePlanned {
			list, by[d.image] = append(list, d.remade), d
		}
	}
	if len(list) == 0 {
		return nil
	}
	observe, end := m.app.watch(ctx, m.options.verbose)
	var mu sync.Mutex
	baked, job, err := m.remakeAll(ctx, list, func(e bake.Event) {
		observe(e)
		mu.Lock()
		defer mu.Unlock()
		if d := by[e.Image]; d != nil {
			d.note(e)
		}
	}, func(r *remade, err error) {
		by[r.image].note(bake.Event{Type: bake.ImageFailed, Err: err})
	})
	end()
	for i, b := range baked {
		d := by[b.Name]
		d.err = nil // of a first try
		if d.baked = &baked[i]; b.Built {
			d.status = cascadeRebased
		} else {
			d.status = cascadeThere
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	broken := false
	for _, d := range by {
		broken = broken || d.err != nil
	}
	if err != nil && !broken {
		return err
	}
	return m.app.promoteBaked(ctx, job, baked)
}

// note follows one image of a cascade.
func (d *descendant) note(e bake.Event) {
	switch e.Type {
	case bake.ImageFailed:
		if d.err != nil {
			return // another platform failed before
		}
		d.err, d.status, d.took = e.Err, cascadeBroken, e.Took.Seconds()
		if skipped := (*bake.SkippedError)(nil); errors.As(e.Err, &skipped) {
			d.status = cascadeSkipped
		}
	case bake.ImageFinished:
		d.took = e.Took.Seconds()
	}
}

// cascadeReport is what kiln cascade --json prints.
type cascadeReport struct {
	Schema  string         `json:"schema"`
	Base    string         `json:"base"`
	Images  []cascadeImage `json:"images"` // parents first
	Seconds float64        `json:"seconds"`
}

type cascadeImage struct {
	Image  string        `json:"image"`
	Of     digest.Digest `json:"of"`   // the version that is rebased
	Onto   string        `json:"onto"` // its new parent; without a digest while that is not baked
	Status string        `json:"status"`
	Digest digest.Digest `json:"digest,omitempty"`
	Tag    string        `json:"tag,omitempty"`
	Reason string        `json:"reason,omitempty"` // of what is broken or skipped
	Again  []string      `json:"again,omitempty"`  // steps that are made again whatever is found
	// Secrets are those that its run steps need and no record holds, by name.
	Secrets []string `json:"secrets,omitempty"`
}

func (d *descendant) report() cascadeImage {
	out := cascadeImage{Image: d.image, Of: d.of, Status: d.status}
	switch {
	case d.below != nil && d.below.baked != nil:
		out.Onto = d.below.image + "@" + string(d.below.baked.Digest)
	case d.below != nil:
		out.Onto = d.below.image
	case d.remade != nil && d.parent.Name != "":
		out.Onto = d.parent.Name + "@" + string(d.parent.Digest)
	}
	if d.err != nil {
		out.Reason = d.err.Error()
	}
	if d.baked != nil {
		out.Digest, out.Tag = d.baked.Digest, d.baked.Tag
	}
	if d.remade != nil && len(d.records) > 0 {
		out.Secrets = d.records[0].Secrets()
	}
	if d.remade != nil && d.status == cascadePlanned {
		for _, rec := range d.records {
			out.Again = append(out.Again, rec.Again()...)
		}
	}
	return out
}

// errBranch says that a cascade is not whole.
var errBranch = errors.New("not everything was rebased (what went well stays; run it again when the rest is mended)")

// printCascade reports, and is an error where a branch ended early.
func (a *app) printCascade(base registry.Reference, all []*descendant, plan bool, took time.Duration) error {
	report := cascadeReport{Schema: "kiln.cascade/v1", Base: base.Name + "@" + string(base.Digest), Images: []cascadeImage{}, Seconds: took.Seconds()}
	broken := false
	for _, d := range all {
		report.Images = append(report.Images, d.report())
		broken = broken || d.status == cascadeBroken || d.status == cascadeSkipped && !d.plain
	}
	if a.json {
		if err := a.printJSON(report); err != nil {
			return err
		}
	} else if err := a.printCascadeText(report, plan); err != nil {
		return err
	}
	if broken {
		return errBranch
	}
	return nil
}

func (a *app) printCascadeText(report cascadeReport, plan bool) error {
	if len(report.Images) == 0 {
		a.say("everything that was baked on %s is on it", report.Base)
	}
	for _, img := range report.Images {
		line := fmt.Sprintf("%-9s  %s", img.Status, img.Image)
		switch {
		case img.Digest != "":
			line += "@" + string(img.Digest) + " " + img.Tag
		case plan && img.Reason == "":
			line += "@" + string(img.Of) + " onto " + img.Onto
			if len(img.Again) > 0 {
				line += ", making again: " + strings.Join(img.Again, "; ")
			}
		}
		if img.Reason != "" {
			line += ": " + oneReason(img.Reason)
		}
		if _, err := fmt.Fprintln(a.out, line); err != nil {
			return err
		}
	}
	return nil
}

// oneReason keeps a report to a line for each image.
func oneReason(s string) string { return strings.Join(strings.Fields(s), " ") }

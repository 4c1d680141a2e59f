package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/registry"
	"kiln/registry/promotion"
)

// rebaseOptions are the flags of kiln rebase.
type rebaseOptions struct {
	remakeOptions
	onto string
}

func (a *app) rebaseCommand() *cobra.Command {
	var o rebaseOptions
	cmd := &cobra.Command{
		Use:   "rebase IMAGE --onto DIGEST",
		Short: "Put an image onto another version of its parent, without its template",
		Long: "rebase makes a new version of IMAGE (IMAGE, IMAGE:TAG or IMAGE@DIGEST; its newest version without either)\n" +
			"on DIGEST, a version of its parent, as the record says that was stored with it. Layers of copied files are\n" +
			"reused as they are, after a look at where their files land; run steps and packages are made again. Tests,\n" +
			"scans and evidence are new, and the digest is the one that kiln bake on that parent would give.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.asRoot(cmd.Context(), func() error { return a.rebase(cmd.Context(), args[0], o) })
		},
	}
	cmd.Flags().StringVar(&o.onto, "onto", "", "digest of the new parent, or IMAGE@DIGEST (required)")
	o.register(cmd)
	return cmd
}

func (a *app) rebase(ctx context.Context, image string, o rebaseOptions) error {
	started := time.Now()
	if o.onto == "" {
		return usagef("--onto is required: the digest of the new parent")
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
	named, err := m.named(ctx, image)
	if err != nil {
		return err
	}
	r, err := m.load(ctx, named.Name, named.Digest)
	if err != nil {
		return err
	}
	if r.parent, err = m.onto(r.records[0], o.onto); err != nil {
		return err
	}
	if err := m.checkParent(ctx, r.parent); err != nil {
		return err
	}
	if err := m.settle(r); err != nil {
		return err
	}
	observe, end := a.watch(ctx, o.verbose)
	baked, job, err := m.remake(ctx, []*remade{r}, observe, nil)
	end()
	for _, b := range baked {
		a.sayBaked(b, m.signer != nil)
	}
	if err != nil {
		return err
	}
	err = a.promoteBaked(ctx, job, baked)
	if printed := a.printRebased(r, baked, time.Since(started)); err == nil {
		err = printed
	}
	return err
}

// named finds the version that IMAGE means, and says which it is.
func (m *remaker) named(ctx context.Context, image string) (registry.Reference, error) {
	if registry.CheckName(image) != nil {
		ref, err := storeRef(image)
		if err == nil {
			ref.Digest, err = m.app.fix(ctx, m.backend.registry, ref)
		}
		return ref, err
	}
	newest, err := m.backend.ops.Versions(ctx, promotion.VersionsRequest{Image: image, Limit: 1})
	if err != nil {
		return registry.Reference{}, err
	}
	if len(newest.Versions) == 0 {
		return registry.Reference{}, withHint(exitNotFound, fmt.Errorf("%s has no versions", image))
	}
	v := newest.Versions[0]
	m.app.say("%s is %s@%s (%s), its newest version", image, image, v.Digest, v.Tags[0])
	return registry.Reference{Name: image, Digest: v.Digest}, nil
}

// onto is the new parent: a digest in the old one's repository, or another
// image by its digest.
func (m *remaker) onto(rec *bake.StoredRecord, onto string) (registry.Reference, error) {
	if d := digest.Digest(onto); registry.CheckDigest(d) == nil {
		return registry.Reference{Host: rec.Parent.Host, Name: rec.Parent.Name, Digest: d}, nil
	}
	ref, err := parseRef(onto)
	if err != nil || ref.Digest == "" {
		return ref, usagef("--onto %s: want a digest (sha256:…) of %s, or IMAGE@DIGEST", onto, rec.Parent.Name)
	}
	return ref, nil
}

// rebaseReport is what kiln rebase --json prints.
type rebaseReport struct {
	Schema  string            `json:"schema"`
	Image   string            `json:"image"`
	Of      digest.Digest     `json:"of"`
	Onto    string            `json:"onto"`
	Digest  digest.Digest     `json:"digest"`
	Tag     string            `json:"tag"`
	Built   bool              `json:"built"`
	Layers  []bake.StepResult `json:"layers"`
	Seconds float64           `json:"seconds"`
}

func (a *app) printRebased(r *remade, baked []bake.Baked, took time.Duration) error {
	b := baked[0]
	report := rebaseReport{
		Schema: "kiln.rebase/v1", Image: r.image, Of: r.of,
		Onto:   strings.TrimPrefix(r.parent.Host+"/", "/") + r.parent.Name + "@" + string(r.parent.Digest),
		Digest: b.Digest, Tag: b.Tag, Built: b.Built, Layers: []bake.StepResult{}, Seconds: took.Seconds(),
	}
	if b.Of != "" {
		report.Digest = b.Of
	}
	for _, s := range b.Steps {
		if s.Digest != "" {
			report.Layers = append(report.Layers, s)
		}
	}
	if a.json {
		return a.printJSON(report)
	}
	_, err := fmt.Fprintf(a.out, "%s@%s %s\n", report.Image, report.Digest, report.Tag)
	return err
}

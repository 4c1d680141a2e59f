package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/registry/promotion"
)

func (a *app) ancestryCommand() *cobra.Command {
	var latest bool
	cmd := &cobra.Command{
		Use:   "ancestry REF",
		Short: "Show what a version was baked on, down to nothing, and what was baked on it",
		Long: "ancestry follows what manifests say of their parents, and lists the descendants that the store knows, each\n" +
			"under what it was baked on. The truth about a parent is the signed provenance (kiln verify).",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.ancestry(cmd.Context(), args[0], latest) },
	}
	cmd.Flags().BoolVar(&latest, "latest", false, "only descendants that are the newest version of their image")
	return cmd
}

// ancestryReport is what kiln ancestry --json prints.
type ancestryReport struct {
	Schema      string            `json:"schema"`
	Image       string            `json:"image"`
	Digest      digest.Digest     `json:"digest"`
	Tags        []string          `json:"tags"`
	Revoked     bool              `json:"revoked"`
	Parents     []ancestryParent  `json:"parents"` // the nearest first
	Descendants []*ancestryBranch `json:"descendants"`
	Cut         bool              `json:"cut,omitempty"` // there are more than it lists
}

type ancestryParent struct {
	promotion.Ancestor
	Tags    []string `json:"tags"`
	Revoked bool     `json:"revoked"`
}

// ancestryBranch is a descendant and those that were baked on it.
type ancestryBranch struct {
	promotion.Descendant
	Revoked     bool              `json:"revoked"`
	Descendants []*ancestryBranch `json:"descendants"`
}

// maxBranches bounds how many descendants are listed.
const maxBranches = 5000

func (a *app) ancestry(ctx context.Context, ref string, latest bool) error {
	v, err := a.openVersion(ctx, ref, purpose{})
	if err != nil {
		return err
	}
	defer v.Close()
	tree := &familyTree{ops: v.ops, latest: latest, seen: map[string]bool{}, left: maxBranches}
	r, err := tree.report(ctx, v.image, v.digest)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(r)
	}
	return a.printAncestry(r)
}

// familyTree is gathered page by page.
type familyTree struct {
	ops    promotion.Operations
	latest bool
	seen   map[string]bool // versions on the way down: a forged cycle ends
	left   int
}

func (t *familyTree) report(ctx context.Context, image string, d digest.Digest) (ancestryReport, error) {
	r := ancestryReport{Schema: promotion.AncestrySchema, Image: image, Digest: d, Parents: []ancestryParent{}}
	var err error
	if r.Tags, r.Revoked, err = t.standing(ctx, image, d); err != nil {
		return r, err
	}
	first, err := t.ops.Ancestry(ctx, promotion.AncestryRequest{Image: image, Digest: d, ParentsOnly: true})
	if err != nil {
		return r, err
	}
	r.Revoked = r.Revoked || first.Revoked
	for _, p := range first.Parents {
		parent := ancestryParent{Ancestor: p, Tags: []string{}}
		if p.Stored {
			if parent.Tags, parent.Revoked, err = t.standing(ctx, p.Image, p.Digest); err != nil {
				return r, err
			}
			parent.Revoked = parent.Revoked || p.Revoked
		}
		r.Parents = append(r.Parents, parent)
	}
	r.Descendants, err = t.below(ctx, image, d)
	r.Cut = t.left < 0
	return r, err
}

// below lists what was baked on a version, and on that.
func (t *familyTree) below(ctx context.Context, image string, d digest.Digest) ([]*ancestryBranch, error) {
	list := []*ancestryBranch{}
	name := image + "@" + string(d)
	if t.seen[name] {
		return list, nil
	}
	t.seen[name] = true
	req := promotion.AncestryRequest{Image: image, Digest: d, Latest: t.latest, Limit: promotion.MaxLimit}
	for {
		page, err := t.ops.Ancestry(ctx, req)
		if err != nil {
			return nil, err
		}
		for _, child := range page.Descendants {
			if t.left--; t.left < 0 {
				return list, nil
			}
			branch := &ancestryBranch{Descendant: child}
			if _, branch.Revoked, err = t.standing(ctx, child.Image, child.Digest); err != nil {
				return nil, err
			}
			if branch.Descendants, err = t.below(ctx, child.Image, child.Digest); err != nil {
				return nil, err
			}
			list = append(list, branch)
		}
		if page.Next == "" {
			return list, nil
		}
		req.Cursor = page.Next
	}
}

// standing is a version's tags and whether it is revoked; nothing of a manifest
// that is no version.
func (t *familyTree) standing(ctx context.Context, image string, d digest.Digest) ([]string, bool, error) {
	list, err := t.ops.Versions(ctx, promotion.VersionsRequest{Image: image, Digest: d})
	if promotion.KindOf(err) == promotion.KindNotFound {
		return []string{}, false, nil
	}
	if err != nil || len(list.Versions) == 0 {
		return []string{}, false, err
	}
	return list.Versions[0].Tags, list.Versions[0].Revoked, nil
}

func (a *app) printAncestry(r ancestryReport) error {
	w := &failingWriter{w: a.out}
	fmt.Fprintf(w, "%s@%s%s\n", r.Image, r.Digest, about(firstTag(r.Tags), r.Revoked))
	for _, p := range r.Parents {
		notes := about(firstTag(p.Tags), p.Revoked)
		if !p.Stored {
			notes = " (not in this store)"
		}
		fmt.Fprintf(w, "  from  %s@%s%s\n", shown(p.Image), p.Digest, notes)
	}
	if n := len(r.Parents); n == 0 || r.Parents[n-1].Stored {
		fmt.Fprintln(w, "  from  scratch")
	}
	printBranches(w, r.Descendants, "  ")
	if r.Cut {
		a.say("there are more than %d descendants: --latest leaves out old ones", maxBranches)
	}
	return w.err
}

func printBranches(w io.Writer, list []*ancestryBranch, indent string) {
	for _, b := range list {
		fmt.Fprintf(w, "%son it %s@%s%s\n", indent, shown(b.Image), b.Digest, about(b.Tag, b.Revoked))
		printBranches(w, b.Descendants, indent+"  ")
	}
}

func about(tag string, revoked bool) string {
	var notes []string
	if tag != "" {
		notes = append(notes, tag)
	}
	if revoked {
		notes = append(notes, "revoked")
	}
	if notes == nil {
		return ""
	}
	return " (" + strings.Join(notes, ", ") + ")"
}

func firstTag(tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	return tags[0]
}

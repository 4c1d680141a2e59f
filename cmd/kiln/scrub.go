package main

import (
	"context"
	"fmt"
	"strings"

	"kiln/registry/contentstore"

	"github.com/opencontainers/go-digest"
)

// scrubReport is what --json prints of a scrub.
type scrubReport struct {
	Repaired bool           `json:"repaired"` // false for a dry run
	Blobs    int            `json:"blobs"`
	Bytes    int64          `json:"bytes"`
	Findings []scrubFinding `json:"findings"`
}

type scrubFinding struct {
	Image   string        `json:"image,omitempty"`
	Digest  digest.Digest `json:"digest,omitempty"`
	Problem string        `json:"problem"`
	Done    string        `json:"done,omitempty"`
	Broken  bool          `json:"broken"`
}

func newScrubReport(out contentstore.Scrubbed, repaired bool) *scrubReport {
	report := &scrubReport{Repaired: repaired, Blobs: out.Blobs, Bytes: out.Bytes, Findings: []scrubFinding{}}
	for _, p := range out.Problems {
		report.Findings = append(report.Findings, scrubFinding{p.Image, p.Digest, p.Err.Error(), p.Done, p.Broken})
	}
	return report
}

// diagnoses is one line for each finding, and one for all.
func (r *scrubReport) diagnoses(location string) []diagnosis {
	broken := 0
	var list []diagnosis
	for _, f := range r.Findings {
		d := diagnosis{Name: "store", OK: true, Fatal: f.Broken, Detail: strings.TrimSpace(strings.TrimSpace(f.Image+" "+string(f.Digest)) + ": " + f.Problem)}
		switch {
		case f.Done != "":
			d.Detail += "; " + f.Done
		case f.Broken && !r.Repaired:
			d.Hint = "without --dry-run what can be repaired is"
		case f.Broken:
			d.Hint = "push or bake it again; or restore a backup to an empty place, kiln serve that, and kiln copy it from there"
		}
		if f.Broken {
			d.OK = false
			broken++
		}
		list = append(list, d)
	}
	detail := fmt.Sprintf("%s: %d blobs hashed again, %d bytes", location, r.Blobs, r.Bytes)
	if len(list) > 0 {
		detail += fmt.Sprintf("; %s, %d still broken", counted(len(list), "finding"), broken)
	}
	return append(list, diagnosis{Name: "store", OK: broken == 0, Fatal: broken > 0, Detail: detail})
}

// reindex has each ledger's derived index made whole.
func (b *backend) reindex(ctx context.Context, dryRun bool) ([]contentstore.Problem, error) {
	var list []contentstore.Problem
	for image, err := range b.content.Repositories(ctx, "") {
		if err != nil {
			return nil, err
		}
		n, err := b.service.Reindex(ctx, image, dryRun)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			list = append(list, contentstore.Problem{Image: image, Err: fmt.Errorf("its ledger cannot be walked: %w", err), Broken: true})
		case n > 0:
			p := contentstore.Problem{Image: image, Err: fmt.Errorf("%d entries of the index of its ledger are missing or wrong", n)}
			if !dryRun {
				p.Done = "made them again"
			}
			list = append(list, p)
		}
	}
	return list, nil
}

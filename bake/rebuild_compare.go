package bake

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/diff"

	"kiln/layers"
)

// Bounds of what is shown of contents that differ.
const (
	maxContents    = 20      // files of a layer
	maxContent     = 8 << 20 // bytes of each that are looked at
	maxDiffText    = 64 << 10
	maxDiffLines   = 40
	maxDifferences = 1000 // of a layer
)

// LayerDifference is a layer that two images do not have alike.
type LayerDifference struct {
	Number int           `json:"number"` // from 1
	Step   string        `json:"step,omitempty"`
	Before digest.Digest `json:"before,omitempty"` // "" if only the other has it
	After  digest.Digest `json:"after,omitempty"`
	// Files that differ, at most 1,000 of Count.
	Files []layers.Difference `json:"files"`
	Count int                 `json:"count"`
	// Contents shows, by path, how the content of some files differs.
	Contents map[string]string `json:"contents,omitempty"`
	// Reordered: the same names stand in another order. Packed: all entries are
	// the same, and the archive or its compression is not.
	Reordered bool `json:"reordered,omitempty"`
	Packed    bool `json:"packed,omitempty"`
}

// CompareLayers lists the layers of two images that differ, by their place,
// and the files in them.
func CompareLayers(ctx context.Context, before, after v1.Image, steps []string) ([]LayerDifference, error) {
	old, err := before.Layers()
	if err != nil {
		return nil, err
	}
	now, err := after.Layers()
	if err != nil {
		return nil, err
	}
	list := []LayerDifference{}
	for i := range max(len(old), len(now)) {
		d := LayerDifference{Number: i + 1, Files: []layers.Difference{}}
		if i < len(steps) {
			d.Step = steps[i]
		}
		var b, a v1.Layer
		if i < len(old) {
			b = old[i]
		}
		if i < len(now) {
			a = now[i]
		}
		if d.Before, d.After, err = layerDigests(b, a); err != nil {
			return nil, err
		}
		if d.Before == d.After {
			continue
		}
		if b != nil && a != nil {
			if err := d.compare(ctx, b, a); err != nil {
				return nil, fmt.Errorf("compare layer %d: %w", i+1, err)
			}
		}
		list = append(list, d)
	}
	return list, nil
}

func layerDigests(b, a v1.Layer) (before, after digest.Digest, err error) {
	of := func(l v1.Layer) digest.Digest {
		if l == nil || err != nil {
			return ""
		}
		var h v1.Hash
		h, err = l.Digest()
		return digest.Digest(h.String())
	}
	before, after = of(b), of(a)
	return before, after, err
}

func (d *LayerDifference) compare(ctx context.Context, b, a v1.Layer) error {
	old, err := layers.List(ctx, b)
	if err != nil {
		return err
	}
	now, err := layers.List(ctx, a)
	if err != nil {
		return err
	}
	d.Files, d.Reordered = layers.CompareListings(old, now)
	d.Count = len(d.Files)
	if d.Files = d.Files[:min(d.Count, maxDifferences)]; d.Files == nil {
		d.Files = []layers.Difference{}
	}
	d.Packed = d.Count == 0 && !d.Reordered
	return d.compareContents(ctx, b, a)
}

// compareContents shows the differences of the first files whose content
// differs.
func (d *LayerDifference) compareContents(ctx context.Context, b, a v1.Layer) error {
	wanted := map[string]bool{}
	for _, f := range d.Files {
		if len(wanted) < maxContents && slices.Contains(f.What, "content") {
			wanted[f.Path] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	want := func(p string) bool { return wanted[p] }
	old, err := layers.ReadFiles(ctx, b, want, maxContent)
	if err != nil {
		return err
	}
	now, err := layers.ReadFiles(ctx, a, want, maxContent)
	if err != nil {
		return err
	}
	d.Contents = map[string]string{}
	for p := range wanted {
		before, ok1 := old[p]
		after, ok2 := now[p]
		if ok1 && ok2 {
			d.Contents[p] = differContent(before, after)
		}
	}
	return nil
}

// differContent shows how two contents differ: a line diff of small texts, the
// first other byte of anything else.
func differContent(before, after []byte) string {
	if isText(before) && isText(after) {
		lines := strings.SplitAfter(string(diff.Diff("before", before, "after", after)), "\n")
		if len(lines) > maxDiffLines {
			lines = append(lines[:maxDiffLines], "…\n")
		}
		return strings.Join(lines[min(1, len(lines)-1):], "") // the first names a command
	}
	at := 0
	for at < min(len(before), len(after)) && before[at] == after[at] {
		at++
	}
	return fmt.Sprintf("from byte %d (%#x) of %d and %d: %s, %s\n", at, at, len(before), len(after), hexAt(before, at), hexAt(after, at))
}

// hexAt are some bytes in hex.
func hexAt(data []byte, at int) string {
	if at >= len(data) {
		return "the end"
	}
	return fmt.Sprintf("% x", data[at:min(len(data), at+16)])
}

// isText tells what people can read: UTF-8 without control characters.
func isText(data []byte) bool {
	return len(data) <= maxDiffText && utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' && r != '\r' || r == 0x7f
	})
}

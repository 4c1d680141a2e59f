package bake

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// detailScan is what a scan found in a recorded layer, without anything of the
// secrets themselves.
type detailScan struct {
	Rules string `json:"rules"`
	Form  int    `json:"form"`
	layerScan
}

// scanKey names a layer's scan in the cache.
func (b *Builder) scanKey(diff v1.Hash) string {
	return key("scan layer", scanForm, diff, b.Scanner.Rules())
}

func (b *Builder) scanEntry(diff v1.Hash) string { return b.scanKey(diff) + ".json" }

// keptScan is the scan of a layer for its record; nil if there was none.
func (b *Builder) keptScan(diff v1.Hash) *detailScan {
	if b.Scanner == nil {
		return nil
	}
	d := &detailScan{Rules: b.Scanner.Rules(), Form: scanForm}
	if !b.cache.load(&d.layerScan, "scans", b.scanEntry(diff)) {
		return nil
	}
	for i := range d.Found {
		d.Found[i].Masked = ""
	}
	return d
}

// knownScan is what an earlier bake found in a layer by the same rules, here
// or as the record of a version says: then nobody needs to read the layer. A
// bake that signs believes only records that are signed.
func (b *Builder) knownScan(ctx context.Context, diff v1.Hash) (*layerScan, bool) {
	found := &layerScan{}
	chain := []string{diff.String()}
	if b.answer(ctx, found, chain, "scans", b.scanKey(diff)) {
		return found, true
	}
	if b.Records == nil {
		return nil, false
	}
	at, _, ok := b.learnt(diff)
	if !ok {
		b.learnOutsiders(ctx)
		if at, _, ok = b.learnt(diff); !ok {
			return nil, false
		}
	}
	d, err := b.storedDetail(ctx, at.repo, at.detail)
	if err != nil || d.Scan == nil || d.Scan.Rules != b.Scanner.Rules() || d.Scan.Form != scanForm {
		return nil, false
	}
	if b.Records.Signed() {
		_ = b.cache.save(d.Scan.layerScan, "scans", b.scanEntry(diff)) // it is read again if that fails
		return &d.Scan.layerScan, true
	}
	b.doubt()
	_ = b.keepAnswer(ctx, d.Scan.layerScan, chain, "scans", b.scanKey(diff))
	return &d.Scan.layerScan, true
}

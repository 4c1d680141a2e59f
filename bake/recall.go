package bake

import (
	"context"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"kiln/bake/debian"
	"kiln/layers"
)

// recall finds a step that this machine has not made among those that the
// store's records tell of. Its layer is not downloaded. A store that cannot be
// asked, or lacks the layer, is as good as one that never had it.
func (b *Builder) recall(ctx context.Context, st *state, res StepResult) (StepResult, bool) {
	if b.Records == nil || res.key == "" {
		return res, false
	}
	h, ok, err := b.find(ctx, st.recipe.FullName, res.key)
	if err != nil || !ok {
		return res, false
	}
	if h.step.Layer != nil {
		layer, ok := b.storeLayer(ctx, h)
		if !ok {
			return res, false
		}
		res.layer, res.Digest = layer, digest.Digest(h.step.Layer.Desc.Digest.String())
		b.learn(h.step.Layer.Diff.String(), h.Name, h.step.Detail.Digest)
	}
	if len(h.step.Installed) > 0 {
		b.recallInstalled(res.key, installedOf(h.step.Installed))
	}
	res.Cached, res.Reason = true, fmt.Sprintf("found in the store: %s@%s made it", h.Name, h.Version)
	return res, true
}

// give has the builder look for steps in a record first, which the caller
// believes.
func (b *Builder) give(rec *StoredRecord) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.given == nil {
		b.given = map[string][]*StoredRecord{}
	}
	if !slices.Contains(b.given[rec.Name], rec) {
		b.given[rec.Name] = append(b.given[rec.Name], rec)
	}
}

// find looks for a step in the records that were given for an image, then in
// those of its newest versions.
func (b *Builder) find(ctx context.Context, image, k string) (hit, bool, error) {
	b.mu.Lock()
	given := b.given[image]
	b.mu.Unlock()
	for _, rec := range given {
		if i := slices.IndexFunc(rec.Steps, func(s RecordStep) bool { return s.Key == k }); i >= 0 {
			return hit{rec, rec.Steps[i]}, true, nil
		}
	}
	return b.Records.find(ctx, image, k)
}

// storeLayer is the layer of a hit, if the store still has it and it has not
// turned out to be damaged.
func (b *Builder) storeLayer(ctx context.Context, h hit) (*storeLayer, bool) {
	d := digest.Digest(h.step.Layer.Desc.Digest.String())
	if b.cache.isSpoilt(d) {
		return nil, false
	}
	desc, err := b.Records.Registry.StatBlob(ctx, h.Name, d)
	if err != nil || desc.Size != h.step.Layer.Desc.Size {
		return nil, false
	}
	return &storeLayer{
		ctx: ctx, reader: b.Records.Registry, repo: h.Name, meta: *h.step.Layer,
		spoilt: func() { b.cache.spoil(d) },
	}, true
}

func installedOf(list []Component) []debian.Installed {
	out := make([]debian.Installed, len(list))
	for i, c := range list {
		out[i] = debian.Installed{Name: c.Name, Version: c.Version, Arch: c.Arch, Source: c.Source}
	}
	return out
}

// known is where the path index of a layer lies in the store.
type known struct {
	repo   string
	detail digest.Digest
}

// learn notes where the path index of a layer lies, by its diffID.
func (b *Builder) learn(diff, repo string, at digest.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.learned[diff] = known{repo, at}
}

// learnRecord notes the path indexes that a record tells of.
func (b *Builder) learnRecord(rec *StoredRecord) {
	for _, s := range rec.Steps {
		if s.Layer != nil {
			b.learn(s.Layer.Diff.String(), rec.Name, s.Detail.Digest)
		}
	}
	if rec.Below == nil {
		return
	}
	for _, ix := range rec.Below.Indexes {
		b.learn(string(ix.Diff), rec.Name, ix.Detail.Digest)
	}
}

// outsider is a parent from outside the template, and an image on it.
type outsider struct {
	parent *Image
	image  string
}

// meet remembers to ask about a parent when something of it is not known.
func (b *Builder) meet(o outsider) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outsiders = append(b.outsiders, o)
}

// learnOutsiders notes what the store tells of parents from outside the
// template. It is asked once, and only for what is not known here.
func (b *Builder) learnOutsiders(ctx context.Context) {
	b.mu.Lock()
	list := b.outsiders
	b.outsiders = nil
	b.mu.Unlock()
	for _, o := range list {
		switch own, child := b.about(ctx, o); {
		case own != nil:
			b.learnLine(ctx, own)
		case child != nil:
			b.learnRecord(child)
		}
	}
}

// about finds the record of a parent, or that of an earlier version of the
// image that was baked on it; nil for what there is not.
func (b *Builder) about(ctx context.Context, o outsider) (own, child *StoredRecord) {
	if b.Records == nil || o.parent.Host != "" {
		return nil, nil
	}
	if rec, err := b.Records.Of(ctx, o.parent.Name, o.parent.Digest); err == nil {
		return rec, nil
	}
	versions, err := b.Records.newest(ctx, o.image)
	if err != nil {
		return nil, nil
	}
	for _, held := range slices.Concat(versions...) {
		rec := held.read()
		if rec == nil {
			continue
		}
		if p := rec.Parent; p != nil && p.Digest == o.parent.version() && rec.Below != nil && b.Records.vouch(ctx, rec) == nil {
			return nil, rec
		}
	}
	return nil, nil
}

// recallComponents are the packages of a parent from outside the template, as
// the store tells them.
func (b *Builder) recallComponents(ctx context.Context, o outsider) ([]Component, bool) {
	switch own, child := b.about(ctx, o); {
	case own != nil:
		return own.Components, true
	case child != nil:
		return child.Below.Components, true
	}
	return nil, false
}

// maxLineage bounds how many parents above one another are followed.
const maxLineage = 32

// learnLine learns from a record and from those of its parents.
func (b *Builder) learnLine(ctx context.Context, rec *StoredRecord) {
	for range maxLineage {
		b.learnRecord(rec)
		if rec.Parent == nil || rec.Parent.Host != "" {
			return
		}
		next, err := b.Records.Of(ctx, rec.Parent.Name, rec.Parent.Digest)
		if err != nil {
			return
		}
		rec = next
	}
}

// indexEntry names a layer's path index in the cache: in its second form, which
// knows of file capabilities.
func indexEntry(diff v1.Hash) string { return diff.Hex + "-2" }

// knownIndex is the path index of a layer that an earlier bake or the store
// has; false if the layer would have to be read.
func (b *Builder) knownIndex(ctx context.Context, diff v1.Hash) (*layers.Index, bool) {
	b.mu.Lock()
	newest := b.newest
	b.mu.Unlock()
	if newest.index != nil && newest.diff == diff {
		return newest.index, true
	}
	var ix layers.Index
	if b.cache.load(&ix, "index", indexEntry(diff)) {
		return &ix, true
	}
	if b.Records == nil {
		return nil, false
	}
	at, kept, ok := b.learnt(diff)
	if kept == nil && !ok {
		b.learnOutsiders(ctx)
		at, kept, ok = b.learnt(diff)
	}
	if kept != nil || !ok {
		return kept, kept != nil
	}
	d, err := b.storedDetail(ctx, at.repo, at.detail)
	if err != nil || d.Index == nil || d.lacksCapabilities() {
		return nil, false
	}
	if b.Records.Signed() {
		_ = b.cache.save(d.Index, "index", indexEntry(diff)) // it is read again if that fails
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.indexes[diff.String()] = d.Index
	b.unsure = b.unsure || !b.Records.Signed()
	return d.Index, true
}

func (b *Builder) learnt(diff v1.Hash) (at known, kept *layers.Index, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok = b.learned[diff.String()]
	return at, b.indexes[diff.String()], ok
}

// recallInstalled notes what a step left installed. What nobody signed is not
// kept for later bakes.
func (b *Builder) recallInstalled(k string, list []debian.Installed) {
	if b.Records.Signed() && b.noteInstalled(k, list) == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.installs[k] = list
}

// installedAfter is what a step left installed; false if it changed nothing of
// that.
func (b *Builder) installedAfter(k string) ([]debian.Installed, bool) {
	var list []debian.Installed
	if b.cache.load(&list, "layers", k+installedSuffix) {
		return list, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	list, ok := b.installs[k]
	return list, ok
}

// sure says whether nothing that nobody signed decided on anything so far:
// what follows from such is not kept for later bakes.
func (b *Builder) sure() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.unsure
}

// maxDetails is how many details a builder keeps: those of a parent that many
// images are on are asked for again and again.
const maxDetails = 4

// storedDetail reads a detail out of the store.
func (b *Builder) storedDetail(ctx context.Context, repo string, at digest.Digest) (*detail, error) {
	end, err := b.making.wait(ctx, "detail "+string(at))
	if err != nil {
		return nil, err
	}
	defer end()
	b.mu.Lock()
	i := slices.IndexFunc(b.details, func(d readDetail) bool { return d.at == at })
	if i >= 0 { // the last used comes last
		d := b.details[i]
		b.details = append(slices.Delete(b.details, i, i+1), d)
		b.mu.Unlock()
		return d.detail, nil
	}
	b.mu.Unlock()
	data, err := readBlob(ctx, b.Records.Registry, repo, at, maxDetail)
	if err != nil {
		return nil, err
	}
	d, err := parseDetail(data)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.details = append(b.details, readDetail{at, d}); len(b.details) > maxDetails {
		b.details = slices.Delete(b.details, 0, 1)
	}
	return d, nil
}

// readDetail is a detail that was read, whichever image it lies with.
type readDetail struct {
	at     digest.Digest
	detail *detail
}

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"kiln/bake"
	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/sign"
)

// descendant is an image in a cascade: one to be rebased, or one that cannot be.
type descendant struct {
	*remade
	of     digest.Digest
	image  string
	below  *descendant // its parent, where that is rebased, too
	err    error       // why it cannot be rebased
	plain  bool        // unsigned, or on what is: a signed cascade passes over it
	status string      // what became of it
	took   float64     // seconds
	baked  *bake.Baked
}

// confirmers is how many records are read at once.
const confirmers = 16

// descendants lists, parents first, what has to be rebased so that everything
// that was baked on a version of base stands on its version d. Of each image
// only the newest version counts. The store's index says what to look at; the
// record, which is signed where keys are known, says what is so.
func (m *remaker) descendants(ctx context.Context, base registry.Reference) ([]*descendant, error) {
	type visit struct {
		image  string
		digest digest.Digest // what its descendants should be on; "" of one that is rebased
		below  *descendant
	}
	var all []*descendant
	seen := map[string]bool{base.Name: true}
	for queue := []visit{{base.Name, base.Digest, nil}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		hints, err := m.hints(ctx, at.image)
		if err != nil {
			return nil, err
		}
		there := map[string]bool{} // a platform of the parent may be in several of its versions
		for _, h := range hints {
			there[h.Image] = there[h.Image] || at.digest != "" && h.Parent == at.digest
		}
		var found []*descendant
		for _, h := range hints {
			if seen[h.Image] {
				continue
			}
			seen[h.Image] = true
			if there[h.Image] {
				queue = append(queue, visit{h.Image, h.Digest, nil}) // it is where it should be
				continue
			}
			found = append(found, &descendant{image: h.Image, of: h.Digest, below: at.below})
		}
		if err := m.confirm(ctx, at.image, found); err != nil {
			return nil, err
		}
		for _, d := range found {
			if d.err == nil && d.below == nil {
				d.parent = registry.Reference{Name: at.image, Digest: at.digest}
			}
			queue = append(queue, visit{d.image, "", d})
		}
		all = append(all, found...)
	}
	return all, nil
}

// hints are the newest versions that the store's index says were baked on any
// version of an image.
func (m *remaker) hints(ctx context.Context, image string) ([]promotion.Descendant, error) {
	req := promotion.AncestryRequest{Image: image, Latest: true, Limit: promotion.MaxLimit}
	var all []promotion.Descendant
	for {
		page, err := m.backend.ops.Ancestry(ctx, req)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Descendants...)
		if page.Next == "" || page.Next == req.Cursor {
			return all, nil
		}
		req.Cursor = page.Next
	}
}

// confirm reads the records of versions that should be on versions of parent.
// What cannot be believed or made again stays as broken.
func (m *remaker) confirm(ctx context.Context, parent string, found []*descendant) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(confirmers)
	for _, d := range found {
		group.Go(func() error {
			d.remade, d.err = m.load(ctx, d.image, d.of)
			if d.err == nil {
				d.err = isOn(d.remade, parent)
			}
			d.plain = errors.Is(d.err, bake.ErrNoRecord) && m.unsigned(ctx, d)
			return ctx.Err()
		})
	}
	return group.Wait()
}

// unsigned tells a version without any signature.
func (m *remaker) unsigned(ctx context.Context, d *descendant) bool {
	if m.signer == nil {
		return false
	}
	_, err := m.signer.Verifier().VerifyImage(ctx, m.backend.registry, d.image, d.of)
	return errors.Is(err, sign.ErrUnsigned)
}

// isOn wants the records of a version to name its parent as the index did.
func isOn(r *remade, parent string) error {
	for _, rec := range r.records {
		if rec.Parent.Name != parent || rec.Parent.Host != "" {
			return fmt.Errorf("its record says that it is from %s, not from %s", rec.Parent.Name, parent)
		}
	}
	return nil
}

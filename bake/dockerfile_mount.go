package bake

import (
	"context"
	"fmt"
	"path"

	"kiln/bake/dockerfile"
	"kiln/bake/template"
)

// mount adds a --mount of a RUN; what a bind shows goes to binds.
func (d *docker) mount(ctx context.Context, st *state, run *template.Run, binds bound, m dockerfile.Mount) error {
	def := template.Mount{Type: template.MountType(m.Type), Target: m.Target, UID: m.UID, GID: m.GID, Size: m.Size}
	if m.Mode != 0 {
		def.Mode = &m.Mode
	}
	switch def.Type {
	case template.MountCache:
		def.ID = m.ID
	case template.MountSecret:
		declared := d.def.Secrets[m.ID]
		def.ID, def.Env, def.Secret, def.Optional = m.ID, m.Env, declared.Secret, declared.Optional && !m.Required
		if !def.Secret.Given() {
			if m.Required {
				return fmt.Errorf("no secret %q (add secret %q { … } to the dockerfile block)", m.ID, m.ID)
			}
			return nil
		}
	case template.MountBind:
		shown, err := d.bound(ctx, m)
		if err != nil {
			return err
		}
		binds[m.Target] = shown
	}
	run.Mounts = append(run.Mounts, def)
	return nil
}

// bound is what a bind mount shows: files of the context, a stage or an image.
func (d *docker) bound(ctx context.Context, m dockerfile.Mount) (contents, error) {
	tree, err := d.tree(ctx, m.From)
	if err != nil {
		return contents{}, err
	}
	items, err := tree.under(ctx, relative(m.Source))
	if err != nil {
		return contents{}, fmt.Errorf("source %q: %w", m.Source, err)
	}
	for i := range items {
		items[i].Target = path.Join("/", items[i].Target)
	}
	return contents{items: items}, nil
}

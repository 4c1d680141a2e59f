package bake

import (
	"context"
	"errors"
	"fmt"

	"kiln/bake/template"
	"kiln/registry"
)

// pinReads finds what the moving references of an image's steps stand for now.
// What was locked before stays, unless everything is refreshed.
func (l *Locker) pinReads(ctx context.Context, img *template.Image, before template.LockedImage, locked *template.LockedImage) error {
	for _, f := range img.Reads() {
		if !f.Moves() {
			continue
		}
		if err := l.pinFrom(ctx, f, before, locked); err != nil {
			return lost(img, f, err)
		}
	}
	if len(img.Programs()) > 0 {
		if locked.Go = before.Go; locked.Go == "" || l.Refresh {
			version, err := hostGo(ctx)
			if err != nil {
				return err
			}
			locked.Go = version
		}
	}
	for _, g := range img.Repositories() {
		if err := l.pinGit(ctx, g, before, locked); err != nil {
			return err
		}
	}
	return nil
}

func (l *Locker) pinGit(ctx context.Context, g *template.Git, before template.LockedImage, locked *template.LockedImage) error {
	if locked.Git == nil {
		locked.Git = map[string]string{}
	}
	if have := before.Git[g.Key()]; have != "" && !l.Refresh {
		locked.Git[g.Key()] = have
		return nil
	}
	commit, err := l.Cache.resolveRef(ctx, g.URL, g.Ref)
	if err != nil {
		return fmt.Errorf("git: %w", err)
	}
	locked.Git[g.Key()] = commit
	return nil
}

func (l *Locker) pinFrom(ctx context.Context, f *template.From, before template.LockedImage, locked *template.LockedImage) error {
	if locked.Froms == nil {
		locked.Froms = map[string]string{}
	}
	ref := f.String()
	if have := before.Froms[ref]; have != "" && !l.Refresh {
		locked.Froms[ref] = have
		return nil
	}
	d, err := l.tagged(ctx, *f)
	if err != nil {
		return fmt.Errorf("image %w", err)
	}
	locked.Froms[ref] = d
	return nil
}

// tagged is what a channel or tag stands for now.
func (l *Locker) tagged(ctx context.Context, f template.From) (string, error) {
	reader, err := l.builder.reader(f)
	if err != nil {
		return "", err
	}
	desc, err := reader.Tag(ctx, f.Name, f.Channel)
	if err != nil {
		hint := ""
		if f.Kind == template.FromChannel && (errors.Is(err, registry.CodeNameUnknown) || errors.Is(err, registry.CodeManifestUnknown)) {
			hint = " (bake or promote it first, or bring it in with kiln copy)"
		}
		return "", fmt.Errorf("%s: %w%s", f, err, hint)
	}
	return string(desc.Digest), nil
}

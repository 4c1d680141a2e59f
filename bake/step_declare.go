package bake

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"kiln/bake/template"
	"kiln/layers"
)

// declareStep makes a layer of declared files, accounts and permissions. Of
// files alone it is a content step; accounts and permissions are made from what
// lies below, of which the step's key has no more than they need.
func (b *Builder) declareStep(ctx context.Context, st *state, name string, d *template.Declare) (StepResult, error) {
	items := declaredItems(d)
	if len(d.Users)+len(d.Groups)+len(d.Permissions) == 0 {
		return b.contentStep(ctx, st, name, items)
	}
	res, err := b.declareOn(ctx, st, name, d, items)
	res.Kind, res.declared = RunStep, d
	return res, err
}

func declaredItems(d *template.Declare) []item {
	var items []item
	for _, f := range d.Files {
		it := item{Target: f.Path, Mode: f.Mode, UID: f.UID, GID: f.GID}
		switch f.Kind {
		case template.KindDir:
			it.Kind, it.Declared = tar.TypeDir, true
		case template.KindSymlink:
			it.Kind, it.Link = tar.TypeSymlink, f.To
		default:
			it.Kind = tar.TypeReg
			it.hold([]byte(f.Content))
		}
		items = append(items, it)
	}
	for _, u := range d.Users {
		if u.MakeHome && u.Home != "/" {
			items = append(items, item{Target: u.Home, Kind: tar.TypeDir, Mode: 0o750, UID: u.UID, GID: u.GID})
		}
	}
	return items
}

// hold makes the item a regular file of this content.
func (it *item) hold(content []byte) {
	sum := sha256.Sum256(content)
	it.Size, it.SHA256 = int64(len(content)), hex.EncodeToString(sum[:])
	it.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

// declareOn is declareStep for what depends on the content below.
func (b *Builder) declareOn(ctx context.Context, st *state, name string, d *template.Declare, items []item) (StepResult, error) {
	below, err := b.imageIndex(ctx, st.below)
	if err != nil {
		return StepResult{}, err
	}
	items, err = permitted(below, d.Permissions, items, b.reading(ctx, st))
	if err != nil {
		return StepResult{}, err
	}
	var own []item
	if len(d.Users)+len(d.Groups) > 0 {
		if own, err = accountItems(below); err != nil {
			return StepResult{}, err
		}
		for _, it := range items {
			for _, acc := range own {
				if it.Target == acc.Target {
					return StepResult{}, fmt.Errorf("%s is declared beside users or groups, which change it (put a copy or run between them)", it.Target)
				}
			}
		}
	}
	items = settled(append(items, own...))
	places, err := b.places(ctx, st, items)
	if err != nil {
		return StepResult{}, err
	}
	list := b.landAll(places, items)
	if err := removeNothing(list); err != nil {
		return StepResult{}, err
	}
	k := key("declare", b.encoder(st), list, d.Users, d.Groups)
	return b.cached(ctx, st, RunStep, name, k, func(string) ([]layers.Entry, error) {
		changed, err := b.accountsOf(ctx, st, d, own)
		if err != nil {
			return nil, err
		}
		var entries []layers.Entry
		for i, p := range places {
			e, err := list[i].entry()
			if err != nil {
				return nil, err
			}
			if p.Source >= 0 && isAccountFile(items[p.Source].Target) {
				text, ok := changed[items[p.Source].Target]
				if !ok {
					continue
				}
				it := item{}
				it.hold(text)
				e.Size, e.Digest, e.Open = it.Size, digestOf(it.SHA256), it.Open
			}
			entries = append(entries, e)
		}
		return entries, nil
	})
}

func isAccountFile(p string) bool {
	for _, f := range accountFiles {
		if p == f {
			return true
		}
	}
	return false
}

// accountItems are the files of accounts as they are below, which stand for
// what they become. Those without passwords are made where they are missing.
func accountItems(below *layers.Index) ([]item, error) {
	var items []item
	for _, file := range accountFiles {
		_, n, err := below.Resolve(strings.TrimPrefix(file, "/"))
		it := item{Target: file, Kind: tar.TypeReg, Mode: n.Mode, UID: n.UID, GID: n.GID, SHA256: strings.TrimPrefix(n.Digest, "sha256:")}
		switch {
		case errors.Is(err, fs.ErrNotExist) && (file == shadowFile || file == gshadowFile):
			continue
		case errors.Is(err, fs.ErrNotExist):
			it.Mode = 0o644
		case err != nil:
			return nil, err
		case n.Type != tar.TypeReg:
			return nil, fmt.Errorf("%s in the image is no regular file", file)
		}
		items = append(items, it)
	}
	return items, nil
}

// accountsOf reads the files below and edits them.
func (b *Builder) accountsOf(ctx context.Context, st *state, d *template.Declare, own []item) (map[string][]byte, error) {
	if len(own) == 0 {
		return nil, nil
	}
	texts := map[string][]byte{}
	for _, it := range own {
		if it.SHA256 == "" {
			continue // not there yet
		}
		text, err := b.smallFile(ctx, st.below, it)
		if err != nil {
			return nil, err
		}
		texts[it.Target] = text
	}
	return addAccounts(texts, d.Users, d.Groups)
}

// reading opens files of what lies below, which is unpacked when the first is
// opened.
func (b *Builder) reading(ctx context.Context, st *state) func(at string, n layers.Node) (item, error) {
	trees := sync.OnceValues(func() ([]string, error) { return b.lowers(ctx, st.below) })
	return func(at string, n layers.Node) (item, error) {
		f, err := newSourceFile(at, "/"+at, n)
		if err != nil {
			return item{}, err
		}
		it := f.item
		it.Declared = it.isDir()
		if it.Kind == tar.TypeReg {
			it.Open = func() (io.ReadCloser, error) { return f.open(trees) }
		}
		return it, nil
	}
}

// permitted adds what the permissions change: items of the same step by
// themselves, and copies of what lies below.
func permitted(below *layers.Index, list []template.Permission, items []item, read func(string, layers.Node) (item, error)) ([]item, error) {
	for _, p := range list {
		found := false
		covers := func(target string) bool {
			return target == p.Path || p.Recursive && strings.HasPrefix(target, p.Path+"/")
		}
		for i := range items {
			if covers(items[i].Target) {
				items[i].permit(p)
				found = true
			}
		}
		more, err := permittedBelow(below, p, items, read)
		if err != nil {
			return nil, err
		}
		if !found && len(more) == 0 {
			return nil, fmt.Errorf("permissions of %s: the image has no such path (is it made by a later step?)", p.Path)
		}
		items = append(items, more...)
	}
	return items, nil
}

func permittedBelow(below *layers.Index, p template.Permission, items []item, read func(string, layers.Node) (item, error)) ([]item, error) {
	root, n, err := below.Resolve(strings.TrimPrefix(p.Path, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n.Type == tar.TypeSymlink && !p.Recursive {
		if root, err = follow(below, p.Path); err != nil {
			return nil, err
		}
	}
	declared := map[string]bool{}
	for _, it := range items {
		declared[it.Target] = true
	}
	var more []item
	paths := []string{root}
	if p.Recursive {
		paths = below.Paths()
	}
	for _, at := range paths {
		n, ok := below.Node(at)
		inside := at == root || strings.HasPrefix(at, root+"/")
		if !ok || !inside || n.Type == tar.TypeSymlink || declared[path.Join("/", at)] {
			continue
		}
		it, err := read(at, n)
		if err != nil {
			return nil, err
		}
		it.permit(p)
		more = append(more, it)
	}
	return more, nil
}

// permit applies the permission. Symlinks have no mode, and folders can be
// entered by whoever may read them. As with chown, what had set-id bits or
// capabilities loses them with a new owner.
func (it *item) permit(p template.Permission) {
	if p.Owner {
		it.UID, it.GID = p.UID, p.GID
		if it.Kind == tar.TypeReg {
			it.Mode &^= 0o6000
			it.Capability = ""
		}
	}
	if p.Mode == nil || it.Kind == tar.TypeSymlink {
		return
	}
	it.Mode = *p.Mode
	if it.isDir() && p.Recursive {
		it.Mode |= it.Mode & 0o444 >> 2
	}
}

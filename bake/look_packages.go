package bake

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kiln/bake/debian"
	"kiln/layers"
)

// Where dpkg and distroless images say what is installed.
const (
	statusFile   = "var/lib/dpkg/status"
	statusFolder = "var/lib/dpkg/status.d/"
)

// maxStatus bounds a dpkg status file, in bytes: some 30,000 packages.
const maxStatus = 64 << 20

// Packages lists the Debian packages of an image, by name and architecture:
// from its record, else from the dpkg database in its layers. An image without
// one has none.
func (v *View) Packages(ctx context.Context) ([]Component, error) {
	var list []Component
	if v.Record != nil {
		list = slices.Clone(v.Record.Components)
	} else {
		installed, err := v.installed(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range installed {
			list = append(list, Component{Name: p.Name, Version: p.Version, Arch: p.Arch, Source: p.Source})
		}
	}
	slices.SortFunc(list, func(a, b Component) int {
		return strings.Compare(a.Name+"\x00"+a.Arch+"\x00"+a.Version, b.Name+"\x00"+b.Arch+"\x00"+b.Version)
	})
	return list, nil
}

// installed reads the dpkg database out of the layers that it lies in.
func (v *View) installed(ctx context.Context) ([]debian.Installed, error) {
	tree, at, err := v.placed(ctx, isStatus)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, i := range slices.Sorted(maps.Keys(at)) {
		l, err := v.Layer(i)
		if err != nil {
			return nil, err
		}
		found, err := layers.ReadFiles(ctx, l, func(p string) bool { return slices.Contains(at[i], p) }, maxStatus)
		if err != nil {
			return nil, fmt.Errorf("read the packages of %s: %w", v.Name, err)
		}
		for _, p := range at[i] {
			n, _ := tree.Node(p)
			data, ok := found[p]
			if !ok && n.Size > 0 {
				return nil, fmt.Errorf("read the packages of %s: %s cannot be read (it has %d bytes)", v.Name, p, n.Size)
			}
			text.Write(data)
			text.WriteString("\n\n")
		}
	}
	list, err := debian.ReadStatus(&text)
	if err != nil {
		return nil, fmt.Errorf("%s@%s: %w", v.Name, v.Digest, err)
	}
	return list, nil
}

func isStatus(p string) bool {
	name, fragment := strings.CutPrefix(p, statusFolder)
	return p == statusFile || fragment && !strings.Contains(name, "/") && !strings.HasSuffix(name, ".md5sums")
}

// placed finds regular files of the merged tree and the layer that each lies
// in.
func (v *View) placed(ctx context.Context, want func(string) bool) (*layers.Index, map[int][]string, error) {
	tree, by := layers.NewIndex(), map[string]int{}
	for i := range v.Config.RootFS.DiffIDs {
		ix, err := v.Index(ctx, i)
		if err != nil {
			return nil, nil, err
		}
		tree = tree.Merge(ix)
		for _, p := range ix.Paths() {
			if want(p) {
				by[p] = i
			}
		}
	}
	at := map[int][]string{}
	for _, p := range slices.Sorted(maps.Keys(by)) {
		if n, ok := tree.Node(p); ok && !n.IsDir() && n.Digest != "" {
			at[by[p]] = append(at[by[p]], p)
		}
	}
	return tree, at, nil
}

package main

import (
	"context"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"kiln/bake"
	"kiln/layers"
)

// diffOptions are the flags of kiln diff.
type diffOptions struct {
	keys     []string
	platform string
	files    bool
	exitCode bool
}

func (a *app) diffCommand() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff REF REF",
		Short: "Show how an image differs from another: packages, files, configuration, size",
		Long: "diff compares what containers of two images see, wherever the images lie: in the store, in another registry,\n" +
			"in OCI layouts (oci:DIR[:TAG]). Many changed files are counted by folder; --files lists each.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.diff(cmd.Context(), args[0], args[1], o) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.keys, "key", nil, "public key whose word on an image's content is taken (repeatable; default: the store's trust)")
	f.StringVar(&o.platform, "platform", "", "of an index, the image for this platform (default: the host's)")
	f.BoolVar(&o.files, "files", false, "list every file that differs")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit 1 if the images differ")
	return cmd
}

// diffReport is what kiln diff --json prints.
type diffReport struct {
	Schema    string        `json:"schema"`
	Before    diffSide      `json:"before"`
	After     diffSide      `json:"after"`
	Identical bool          `json:"identical"` // the same digest
	Packages  diffPackages  `json:"packages"`
	Config    []diffSetting `json:"config"`
	Files     diffFiles     `json:"files"`
	Shared    diffShared    `json:"shared"`
}

// diffSide is one of the two images; sizes are in bytes.
type diffSide struct {
	Image        string        `json:"image"`
	Digest       digest.Digest `json:"digest"`
	Platform     string        `json:"platform"`
	Layers       int           `json:"layers"`
	Packages     int           `json:"packages"`
	Files        int           `json:"files"`
	Compressed   int64         `json:"compressed"`
	Uncompressed int64         `json:"uncompressed"` // of the files that a container sees
}

type diffPackages struct {
	Added   []diffPackage `json:"added"`
	Removed []diffPackage `json:"removed"`
	Changed []diffPackage `json:"changed"`
}

type diffPackage struct {
	Name   string `json:"name"`
	Arch   string `json:"arch"`
	Before string `json:"before,omitempty"` // version
	After  string `json:"after,omitempty"`
}

// diffSetting is a part of the configuration; nil is a part that is not there.
type diffSetting struct {
	Name   string  `json:"name"`
	Before *string `json:"before"`
	After  *string `json:"after"`
}

type diffFiles struct {
	Added   int                 `json:"added"`
	Removed int                 `json:"removed"`
	Changed int                 `json:"changed"`
	Folders []diffFolder        `json:"folders"`
	Entries []layers.Difference `json:"entries,omitempty"` // with --files
}

// diffShared are the layers that both have.
type diffShared struct {
	Layers     int   `json:"layers"`
	Compressed int64 `json:"compressed"`
}

func (a *app) diff(ctx context.Context, before, after string, o diffOptions) error {
	old, err := a.lookAtImage(ctx, before, o)
	if err != nil {
		return err
	}
	defer old.close()
	now, err := a.lookAtImage(ctx, after, o)
	if err != nil {
		return err
	}
	defer now.close()
	a.working("comparing")
	r, list, err := compareLooked(ctx, old, now)
	if err != nil {
		return err
	}
	if o.files {
		r.Files.Entries = list
	}
	if a.json {
		err = a.printJSON(r)
	} else {
		err = a.printDiff(r, list, o.files)
	}
	if err == nil && o.exitCode && !r.Identical {
		return &exited{code: exitError}
	}
	return err
}

// lookAtImage opens an image; of an index the one for the host, unless a
// platform is named.
func (a *app) lookAtImage(ctx context.Context, ref string, o diffOptions) (*looked, error) {
	l, err := a.lookAt(ctx, ref, o.platform, o.keys)
	if err != nil {
		return nil, err
	}
	if err := l.image(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func compareLooked(ctx context.Context, old, now *looked) (diffReport, []layers.Difference, error) {
	r := diffReport{Schema: "kiln.diff/v1", Identical: old.Digest == now.Digest}
	before, oldTree, oldPackages, err := describeSide(ctx, old)
	if err != nil {
		return r, nil, err
	}
	after, newTree, newPackages, err := describeSide(ctx, now)
	if err != nil {
		return r, nil, err
	}
	r.Before, r.After = before, after
	r.Packages = comparePackages(oldPackages, newPackages)
	r.Config = compareSettings(settingsOf(old.View), settingsOf(now.View))
	list := layers.Compare(oldTree, newTree)
	r.Files = countFiles(list)
	for _, d := range now.Manifest.Layers {
		if i := slices.IndexFunc(old.Manifest.Layers, func(o layerDescriptor) bool { return o.Digest == d.Digest }); i >= 0 {
			r.Shared.Layers++
			r.Shared.Compressed += d.Size
		}
	}
	return r, list, nil
}

func describeSide(ctx context.Context, l *looked) (diffSide, *layers.Index, []bake.Component, error) {
	side := diffSide{Image: l.place.name, Digest: l.Digest, Platform: configPlatform(l.View), Layers: len(l.Manifest.Layers)}
	side.Compressed = l.View.Size + l.Manifest.Config.Size
	for _, d := range l.Manifest.Layers {
		side.Compressed += d.Size
	}
	tree, err := l.Tree(ctx)
	if err != nil {
		return side, nil, nil, err
	}
	side.Files, side.Uncompressed = tree.Weigh()
	packages, err := l.View.Packages(ctx)
	side.Packages = len(packages)
	return side, tree, packages, err
}

// comparePackages compares by name and architecture.
func comparePackages(before, after []bake.Component) diffPackages {
	out := diffPackages{Added: []diffPackage{}, Removed: []diffPackage{}, Changed: []diffPackage{}}
	type id struct{ name, arch string }
	old := map[id]string{}
	for _, c := range before {
		old[id{c.Name, c.Arch}] = c.Version
	}
	kept := map[id]bool{}
	for _, c := range after {
		at := id{c.Name, c.Arch}
		kept[at] = true
		switch version, there := old[at]; {
		case !there:
			out.Added = append(out.Added, diffPackage{Name: c.Name, Arch: c.Arch, After: c.Version})
		case version != c.Version:
			out.Changed = append(out.Changed, diffPackage{c.Name, c.Arch, version, c.Version})
		}
	}
	for _, c := range before {
		if !kept[id{c.Name, c.Arch}] {
			out.Removed = append(out.Removed, diffPackage{Name: c.Name, Arch: c.Arch, Before: c.Version})
		}
	}
	return out
}

func countFiles(list []layers.Difference) diffFiles {
	out := diffFiles{Folders: foldersOf(list, maxFolders)}
	for _, d := range list {
		switch d.Change {
		case layers.Added:
			out.Added++
		case layers.Removed:
			out.Removed++
		case layers.Changed:
			out.Changed++
		}
	}
	return out
}

// diffFolder counts what differs below a folder.
type diffFolder struct {
	Path    string `json:"path"`
	Added   int    `json:"added"`
	Removed int    `json:"removed"`
	Changed int    `json:"changed"`
}

// Folders are summed up as deep as there are no more than maxFolders of them.
const (
	maxFolders = 25
	maxDepth   = 8
)

// foldersOf sums differences up by folder, as deep as limit allows.
func foldersOf(list []layers.Difference, limit int) []diffFolder {
	best := []diffFolder{}
	for depth := 1; depth <= maxDepth; depth++ {
		at, next := map[string]int{}, []diffFolder{}
		for _, d := range list {
			parts := strings.Split(d.Path, "/")
			name := "/" + strings.Join(parts[:min(depth, len(parts)-1)], "/")
			i, ok := at[name]
			if !ok {
				i = len(next)
				at[name] = i
				next = append(next, diffFolder{Path: name})
			}
			switch d.Change {
			case layers.Added:
				next[i].Added++
			case layers.Removed:
				next[i].Removed++
			case layers.Changed:
				next[i].Changed++
			}
		}
		if depth > 1 && len(next) > limit {
			break
		}
		best = next
	}
	return best
}

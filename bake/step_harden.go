package bake

import (
	"archive/tar"
	"context"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"kiln/bake/template"
	"kiln/layers"
)

// hardenName names the step that hardens an image.
func hardenName(h *template.Hardening) string {
	return "harden " + strings.Join(slices.DeleteFunc(h.Names(), func(n string) bool { return n == "read_only_root" }), " ")
}

// hardenStep makes the last layer of an image, which takes away what its
// hardening block names. It depends on all that lies below and is made again
// on another parent.
func (b *Builder) hardenStep(ctx context.Context, st *state, name string) (StepResult, error) {
	below, err := b.imageIndex(ctx, st.below)
	if err != nil {
		return StepResult{}, err
	}
	gone, plain := hardened(below, st.recipe.Hardening)
	files := make([]sourceFile, len(plain))
	for i, at := range plain {
		n, _ := below.Node(at)
		if files[i], err = newSourceFile(at, "/"+at, n); err != nil {
			return StepResult{}, err
		}
		files[i].Mode &^= 0o6000
		files[i].Capability = ""
	}
	k := key("harden", b.encoder(st), gone, files, b.made().Unix())
	res, err := b.cached(ctx, st, RunStep, name, k, func(string) ([]layers.Entry, error) {
		trees := sync.OnceValues(func() ([]string, error) { return b.lowers(ctx, st.below) })
		var entries []layers.Entry
		for _, at := range gone {
			entries = append(entries, layers.Entry{
				Path: path.Join(path.Dir(at), ".wh."+path.Base(at)), Type: tar.TypeReg, ModTime: b.made(),
			})
		}
		for _, f := range files {
			entries = append(entries, layers.Entry{
				Path: f.At, Type: tar.TypeReg, Mode: f.Mode, UID: f.UID, GID: f.GID, Size: f.Size, ModTime: b.made(),
				Open: func() (io.ReadCloser, error) { return f.open(trees) },
			})
		}
		return entries, nil
	})
	res.Kind, res.field = RunStep, true
	return res, err
}

// programDirs hold what people call by name.
var programDirs = []string{"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"}

// shells are programs that take commands from whoever starts them.
var shells = []string{
	"sh", "bash", "rbash", "dash", "ash", "ksh", "ksh93", "rksh", "mksh", "lksh", "zsh", "rzsh", "csh", "tcsh", "fish", "posh", "yash",
	"busybox", "toybox",
}

// packageManagers install software; a name that ends in * covers all that
// begin with it.
var packageManagers = []string{
	"apt", "apt-*", "aptitude", "aptitude-*", "dpkg", "dpkg-*", "dselect", "update-alternatives",
	"apk", "rpm", "rpm2*", "yum", "dnf", "dnf-*", "dnf5", "microdnf", "tdnf", "zypper", "pacman", "pacman-*",
}

// packageFolders serve package managers alone. The list of what is installed,
// which scanners and SBOM tools read, stays.
var packageFolders = []string{
	"etc/apt", "usr/lib/apt", "var/lib/apt", "var/cache/apt", "usr/lib/dpkg", "usr/share/dpkg", "etc/dpkg", "etc/apk", "lib/apk",
}

// hardened lists what has to go from an image, and the files that must lose
// their set-id bits, both sorted.
func hardened(below *layers.Index, h *template.Hardening) (gone, plain []string) {
	removed := map[string]bool{}
	for _, p := range below.Paths() {
		n, _ := below.Node(p)
		name := path.Base(p)
		program := !n.IsDir() && slices.Contains(programDirs, path.Dir(p))
		switch {
		case removed[path.Dir(p)]:
			removed[p] = true // goes with its folder
			continue
		case h.NoShell && program && slices.Contains(shells, name),
			h.NoPackageManager && program && goesBy(packageManagers, name),
			h.NoPackageManager && n.IsDir() && slices.Contains(packageFolders, p):
			removed[p], gone = true, append(gone, p)
		case h.NoSetuid && n.Type == tar.TypeReg && n.Mode&0o6000 != 0:
			plain = append(plain, p)
		}
	}
	gone = append(gone, dangling(below, removed)...)
	slices.Sort(gone)
	slices.Sort(plain)
	return slices.Compact(gone), plain
}

// dangling are programs that are links to programs that go, such as what
// busybox is called by.
func dangling(below *layers.Index, removed map[string]bool) []string {
	var list []string
	for _, p := range below.Paths() {
		n, _ := below.Node(p)
		if removed[p] || n.Type != tar.TypeSymlink || !slices.Contains(programDirs, path.Dir(p)) {
			continue
		}
		if to, err := follow(below, "/"+p); err == nil && removed[to] {
			list = append(list, p)
		}
	}
	return list
}

func goesBy(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return p == name || open && strings.HasPrefix(name, prefix)
	})
}

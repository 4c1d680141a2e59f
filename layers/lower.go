package layers

import (
	"archive/tar"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// lowerView looks into the lower folders of an overlay without mounting it.
// The folders stand bottom first, each in overlay form.
type lowerView []string

// find returns the topmost visible thing at p, or nil.
func (v lowerView) find(p string) (*found, error) {
	for i := len(v) - 1; i >= 0; i-- {
		f, final, err := probe(v[i], p)
		if f != nil || final || err != nil {
			return f, err
		}
	}
	return nil, nil
}

// probe looks for p in one lower folder. final says that this folder hides
// what the ones below it have at p, but for the content of a folder that both
// have.
func probe(root, p string) (f *found, final bool, err error) {
	parts := strings.Split(p, "/")
	for i := range parts {
		at := strings.Join(parts[:i+1], "/")
		host := filepath.Join(root, filepath.FromSlash(at))
		info, err := os.Lstat(host)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, final, nil
		}
		if err != nil {
			return nil, false, &EntryError{Path: at, Err: err}
		}
		last := i == len(parts)-1
		switch {
		case isWhiteout(info) || !last && !info.IsDir():
			return nil, true, nil
		case last:
			f, err := examine(root, at, info)
			return f, final || f != nil && (f.opaque() || f.entry.Type != tar.TypeDir), err
		}
		opaque, err := isOpaque(host)
		if err != nil {
			return nil, false, &EntryError{Path: at, Err: err}
		}
		final = final || opaque
	}
	return nil, final, nil
}

// isWhiteout knows both forms: overlayfs' own, and the socket without any
// permission that stands in for it where the file system allows no other (an
// overlay itself, for one). Layers hold no sockets.
func isWhiteout(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case st.Mode&syscall.S_IFMT == syscall.S_IFSOCK:
		return st.Mode&modeBits == 0
	}
	return st.Mode&syscall.S_IFMT == syscall.S_IFCHR && st.Rdev == 0
}

func isOpaque(host string) (bool, error) {
	all, err := readXattrs(host)
	_, overlay := splitXattrs(all)
	return overlay["opaque"] == "y", err
}

// list returns the names visible in the folder p, sorted.
func (v lowerView) list(p string) ([]string, error) {
	names, hidden := map[string]bool{}, map[string]bool{}
	for i := len(v) - 1; i >= 0; i-- {
		f, final, err := probe(v[i], p)
		if err != nil {
			return nil, err
		}
		if f != nil && f.entry.Type != tar.TypeDir {
			break
		}
		if f != nil {
			if err := listInto(v[i], p, names, hidden); err != nil {
				return nil, err
			}
		}
		if final {
			break
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// listInto adds the names of one lower folder, unless a whiteout further up
// hides them, and its whiteouts.
func listInto(root, p string, names, hidden map[string]bool) error {
	list, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(p)))
	if err != nil {
		return &EntryError{Path: p, Err: err}
	}
	for _, d := range list {
		info, err := d.Info()
		switch {
		case err != nil:
			return &EntryError{Path: p, Err: err}
		case isWhiteout(info):
			hidden[d.Name()] = true
		case !hidden[d.Name()]:
			names[d.Name()] = true
		}
	}
	return nil
}

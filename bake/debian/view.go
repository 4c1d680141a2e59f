package debian

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// view reads a stack of trees as overlayfs would show them: layers[0] is the
// top (the upper directory), the last one the bottom. Whiteouts and opaque
// directories are honoured. Paths are clean, relative, and their parents are
// real directories; resolve makes such paths.
type view struct {
	layers []string
	dirs   map[string][]int // directory -> layers that show through in it
}

func newView(t Target) *view {
	v := &view{layers: []string{t.Upper}, dirs: map[string][]int{}}
	for i := len(t.Lowers) - 1; i >= 0; i-- {
		v.layers = append(v.layers, t.Lowers[i])
	}
	all := make([]int, len(v.layers))
	for i := range all {
		all[i] = i
	}
	v.dirs["."] = all
	return v
}

// forget drops what was remembered, after something else changed the upper
// directory.
func (v *view) forget() { v.dirs = map[string][]int{".": v.dirs["."]} }

// shown lists the layers whose content shows in a directory, top first.
func (v *view) shown(dir string) []int {
	if layers, ok := v.dirs[dir]; ok {
		return layers
	}
	var layers []int
	for _, i := range v.shown(path.Dir(dir)) {
		name := filepath.Join(v.layers[i], dir)
		info, err := os.Lstat(name)
		if err != nil {
			continue
		}
		if !info.IsDir() {
			break
		}
		layers = append(layers, i)
		if opaque(name) {
			break
		}
	}
	v.dirs[dir] = layers
	return layers
}

func opaque(dir string) bool {
	var value [1]byte
	for _, attr := range []string{"trusted.overlay.opaque", "user.overlay.opaque"} {
		if n, err := unix.Lgetxattr(dir, attr, value[:]); err == nil && n == 1 && value[0] == 'y' {
			return true
		}
	}
	return false
}

// whiteout knows both forms that package layers makes: overlayfs' own, and a
// socket without permissions where there can be no overlay.
func whiteout(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && stat.Mode&syscall.S_IFMT == syscall.S_IFSOCK {
		return stat.Mode&0o7777 == 0
	}
	return ok && info.Mode()&fs.ModeCharDevice != 0 && stat.Rdev == 0
}

// find returns the file that shows at p and where it lies; nil when none does.
func (v *view) find(p string) (fs.FileInfo, string) {
	if p == "." {
		info, _ := os.Lstat(v.layers[0])
		return info, v.layers[0]
	}
	for _, i := range v.shown(path.Dir(p)) {
		name := filepath.Join(v.layers[i], p)
		info, err := os.Lstat(name)
		if err != nil {
			continue
		}
		if whiteout(info) {
			return nil, ""
		}
		return info, name
	}
	return nil, ""
}

// lookup says what shows at p: its tar type (0 when nothing does) and, for a
// symbolic link, the target.
func (v *view) lookup(p string) (typ byte, link string) {
	info, name := v.find(p)
	switch {
	case info == nil:
		return 0, ""
	case info.IsDir():
		return tar.TypeDir, ""
	case info.Mode()&fs.ModeSymlink != 0:
		link, _ = os.Readlink(name)
		return tar.TypeSymlink, link
	}
	return tar.TypeReg, ""
}

// readFile reads a file through symbolic links; fs.ErrNotExist when there is
// none.
func (v *view) readFile(p string) ([]byte, error) {
	real, err := resolve(v.lookup, p, true)
	if err != nil {
		return nil, err
	}
	info, name := v.find(real)
	if info == nil {
		return nil, &fs.PathError{Op: "open", Path: "/" + p, Err: fs.ErrNotExist}
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: "/" + p, Err: fs.ErrInvalid}
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// readDir lists the names that show in a directory.
func (v *view) readDir(dir string) []string {
	seen := map[string]bool{}
	var names []string
	for _, i := range v.shown(dir) {
		entries, err := os.ReadDir(filepath.Join(v.layers[i], dir))
		if err != nil {
			continue
		}
		for _, e := range entries {
			if seen[e.Name()] {
				continue
			}
			seen[e.Name()] = true
			if info, err := e.Info(); err == nil && !whiteout(info) {
				names = append(names, e.Name())
			}
		}
	}
	return names
}

// maxLinks bounds the symbolic links on one path.
const maxLinks = 40

// resolve follows the symbolic links among the parents of p (and, with last,
// of p itself) as seen through lookup. A link that climbs over the root, or a
// loop, is an error; what does not exist is taken as it stands.
func resolve(lookup func(string) (byte, string), p string, last bool) (string, error) {
	todo := strings.Split(p, "/")
	at, links := ".", 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at == "." {
				return "", fmt.Errorf("path /%s: a symbolic link leads out of the root", p)
			}
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		if len(todo) > 0 || last {
			if typ, link := lookup(next); typ == tar.TypeSymlink {
				if links++; links > maxLinks {
					return "", fmt.Errorf("path /%s: more than %d symbolic links", p, maxLinks)
				}
				if strings.HasPrefix(link, "/") {
					at = "."
				}
				todo = append(strings.Split(link, "/"), todo...)
				continue
			}
		}
		at = next
	}
	return at, nil
}

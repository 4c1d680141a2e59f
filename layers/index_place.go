package layers

import (
	"archive/tar"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Place returns where an entry of the given type that is meant for p belongs
// on an image with this index. With merged /usr (bin, sbin, lib* are symlinks
// into usr) "bin/x" is placed at "usr/bin/x". Any other symlink on the way,
// something on the way that is no folder, and a thing of another type at p are
// errors. Folders that are missing are no error.
func (ix *Index) Place(p string, typ byte) (string, error) {
	if err := CheckPath(p); err != nil {
		return "", &EntryError{Path: p, Err: err}
	}
	p = ix.mergedUsr(p)
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		n, ok := ix.Node(dir)
		switch {
		case !ok || n.IsDir():
		case n.Type == tar.TypeSymlink:
			return "", entryErrorf(p, "%q is a symlink to %q in the image below: name the real folder", dir, n.Link)
		default:
			return "", entryErrorf(p, "%q is no folder in the image below", dir)
		}
	}
	n, ok := ix.Node(p)
	if typ == tar.TypeLink {
		typ = tar.TypeReg
	}
	if ok && n.Type != typ {
		return "", &EntryError{Path: p, Err: fmt.Errorf("would replace a %s of the image below by a %s: %w",
			typeName(n.Type), typeName(typ), ErrTypeConflict)}
	}
	return p, nil
}

// ErrTypeConflict says that an entry would change the type of what is below.
var ErrTypeConflict = errors.New("types differ")

// mergedUsr rewrites the first name of p when it is one of the links of a
// merged /usr.
func (ix *Index) mergedUsr(p string) string {
	first, rest, _ := strings.Cut(p, "/")
	if rest == "" || !(first == "bin" || first == "sbin" || strings.HasPrefix(first, "lib")) {
		return p
	}
	n, ok := ix.nodes[first]
	if ok && n.Type == tar.TypeSymlink && strings.TrimPrefix(n.Link, "/") == "usr/"+first {
		return n.Link[strings.Index(n.Link, "usr/"):] + "/" + rest
	}
	return p
}

func typeName(t byte) string {
	switch t {
	case tar.TypeReg:
		return "file"
	case tar.TypeDir:
		return "folder"
	case tar.TypeSymlink:
		return "symlink"
	case tar.TypeLink:
		return "hard link"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "fifo"
	case TypeWhiteout:
		return "whiteout"
	}
	return fmt.Sprintf("thing of type %q", t)
}

package debian

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// plan decides where every member of a set of packages goes before anything
// is written: symbolic links (merged /usr) followed, diversions applied, file
// conflicts found.
type plan struct {
	view  *view
	db    *database
	nodes map[string]*node
	// real remembers where the directories of the packages are; only those
	// that exist, which nothing can turn into a link any more.
	real map[string]string
	// lost holds the members that another package of the set replaces.
	lost map[*contents]map[string]bool
	// taken holds, by package id of the database, the listed paths that
	// packages of this set replace.
	taken map[string]map[string]bool
}

// node is a file, link or directory to write. path is its real path.
type node struct {
	path string
	from *contents
	entry
}

// ConflictError says that two packages ship the same file and neither
// declares that it replaces the other.
type ConflictError struct{ Path, Package, Other string }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("packages %s and %s both ship %s, and neither replaces the other", e.Package, e.Other, e.Path)
}

func newPlan(v *view, db *database) *plan {
	return &plan{
		view: v, db: db, nodes: map[string]*node{}, real: map[string]string{},
		lost: map[*contents]map[string]bool{}, taken: map[string]map[string]bool{},
	}
}

func (p *plan) lookup(at string) (byte, string) {
	if n := p.nodes[at]; n != nil {
		switch n.typ {
		case tar.TypeSymlink:
			return n.typ, n.link
		case tar.TypeDir:
			return n.typ, ""
		}
		return tar.TypeReg, ""
	}
	return p.view.lookup(at)
}

// locate makes a member's name a real path; its last part is not followed.
func (p *plan) locate(name string) (string, error) {
	if name == "." {
		return name, nil
	}
	dir, base := path.Dir(name), path.Base(name)
	real, ok := p.real[dir]
	if !ok {
		var err error
		if real, err = resolve(p.lookup, dir, true); err != nil {
			return "", err
		}
		if typ, _ := p.lookup(real); typ == tar.TypeDir {
			p.real[dir] = real
		}
	}
	return path.Join(real, base), nil
}

// mergeUsr plans the links of a merged /usr for the top-level directories
// that packages of the set still use, as usrmerge leaves them.
func (p *plan) mergeUsr(set []*contents) {
	used := map[string]bool{}
	merge := false
	for _, c := range set {
		merge = merge || c.Name == "usrmerge" || c.Name == "usr-is-merged"
		for i := range c.entries {
			top, _, _ := strings.Cut(c.entries[i].name, "/")
			used[top] = true
		}
	}
	if !merge {
		return
	}
	for _, top := range []string{"bin", "sbin", "lib", "lib32", "lib64", "libo32", "libx32"} {
		if typ, _ := p.lookup(top); !used[top] || typ != 0 {
			continue
		}
		link := entry{name: top, typ: tar.TypeSymlink, mode: 0o777, link: "usr/" + top}
		p.nodes[top] = &node{path: top, entry: link}
		for _, dir := range []string{"usr", "usr/" + top} {
			if typ, _ := p.lookup(dir); typ == 0 {
				p.nodes[dir] = &node{path: dir, entry: entry{name: dir, typ: tar.TypeDir, mode: 0o755}}
			}
		}
	}
}

// add plans every member of one package.
func (p *plan) add(c *contents) error {
	for i := range c.entries {
		if err := p.addEntry(c, c.entries[i]); err != nil {
			return fmt.Errorf("unpack %s %s: %w", c.Name, c.Version, err)
		}
	}
	return nil
}

func (p *plan) addEntry(c *contents, e entry) error {
	name := p.db.divert(e.name, c.Name)
	at, err := p.locate(name)
	if err != nil {
		return err
	}
	if e.typ == tar.TypeDir {
		return p.addDir(c, e, at)
	}
	old := p.nodes[at]
	typ, link := p.lookup(at)
	switch {
	case typ == tar.TypeDir && e.typ == tar.TypeSymlink:
		return nil // as dpkg does: a directory stays
	case typ == tar.TypeDir:
		return fmt.Errorf("/%s is a directory already", at)
	case typ == tar.TypeSymlink && e.typ == tar.TypeSymlink && p.sameDir(at, link, e.link):
		return nil
	case old != nil && old.from != c:
		if keep, err := p.contest(c, old, e.name); keep || err != nil {
			return err
		}
	case old == nil && typ != 0:
		if err := p.take(c, e.name); err != nil {
			return err
		}
	}
	if typ != 0 && old == nil && c.conffiles[e.name] {
		at += newConffile // dpkg --configure decides, and keeps what was there
	}
	if e.typ == tar.TypeLink {
		if e, err = p.hardLink(c, e); err != nil {
			return err
		}
	}
	p.nodes[at] = &node{at, c, e}
	return nil
}

// newConffile is what dpkg appends to the name of a configuration file that
// it has not put in place yet.
const newConffile = ".dpkg-new"

func (p *plan) addDir(c *contents, e entry, at string) error {
	real, err := resolve(p.lookup, at, true)
	if err != nil {
		return err
	}
	switch typ, _ := p.lookup(real); typ {
	case 0:
		p.nodes[real] = &node{real, c, e}
	case tar.TypeDir:
	default:
		return fmt.Errorf("/%s is there already and no directory", real)
	}
	return nil
}

// sameDir says whether two links at one path lead to the same directory.
func (p *plan) sameDir(at, link, other string) bool {
	join := func(target string) string {
		if strings.HasPrefix(target, "/") {
			return target[1:]
		}
		return path.Dir(at) + "/" + target
	}
	a, errA := resolve(p.lookup, join(link), true)
	b, errB := resolve(p.lookup, join(other), true)
	if errA != nil || errB != nil || a != b {
		return false
	}
	typ, _ := p.lookup(a)
	return typ == tar.TypeDir
}

// hardLink turns a hard link's target into its real path, or, when another
// package replaced the target, the link into a file of its own.
func (p *plan) hardLink(c *contents, e entry) (entry, error) {
	at, err := p.locate(p.db.divert(e.link, c.Name))
	if err != nil {
		return e, err
	}
	if n := p.nodes[at]; n != nil && n.from == c && n.typ != tar.TypeDir {
		e.link = at
		if n.typ == tar.TypeLink {
			e.link = n.link
		}
		return e, nil
	}
	if n := p.nodes[at+newConffile]; n != nil && n.from == c {
		e.link = at + newConffile
		return e, nil
	}
	for _, target := range c.entries {
		if target.name == e.link && target.typ == tar.TypeReg {
			target.name = e.name
			return target, nil
		}
	}
	return e, fmt.Errorf("/%s: hard link to /%s, which is no earlier file of the package", e.name, e.link)
}

// contest settles a path that two packages of the set ship. keep is true when
// the one planned first stays.
func (p *plan) contest(c *contents, old *node, name string) (keep bool, err error) {
	other := old.from
	if other == nil {
		return false, fmt.Errorf("/%s is one of the links of a merged /usr", name)
	}
	switch {
	case replaces(c.stanza.value("Replaces"), other.Name, other.Version):
		p.lose(other, old.name)
		return false, nil
	case replaces(other.stanza.value("Replaces"), c.Name, c.Version):
		p.lose(c, name)
		return true, nil
	case c.Name == other.Name:
		return true, nil // another architecture of a Multi-Arch: same package
	}
	return false, &ConflictError{"/" + name, c.Name, other.Name}
}

func (p *plan) lose(c *contents, name string) {
	if p.lost[c] == nil {
		p.lost[c] = map[string]bool{}
	}
	p.lost[c][name] = true
}

// take settles a path that exists in the tree. A file of no package is
// replaced, as dpkg does.
func (p *plan) take(c *contents, name string) error {
	owner, err := p.db.owner(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if owner == "" {
		return nil
	}
	bare, _, _ := strings.Cut(owner, ":")
	installed := p.db.installed(bare)
	if bare != c.Name && !replaces(c.stanza.value("Replaces"), bare, installed.Version) {
		return &ConflictError{"/" + name, c.Name, bare}
	}
	if p.taken[owner] == nil {
		p.taken[owner] = map[string]bool{}
	}
	p.taken[owner]["/"+name] = true
	return nil
}

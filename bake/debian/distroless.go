package debian

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Selection is what a distroless image takes from the tree that its packages
// were installed in.
type Selection struct {
	// Paths are the files and folders to ship, clean, relative and sorted;
	// the folders of each are among them.
	Paths []string
	// Packages are those whose files are shipped, by name.
	Packages []Installed
}

// fragmentDir has one file for each package of a distroless image: the stanza
// of the package, and beside it the MD5 sums of its files.
const fragmentDir = adminDir + "/status.d"

// generated are files that scripts made and every image needs.
var generated = [...]string{"etc/passwd", "etc/group", "etc/nsswitch.conf"}

// Distroless selects, from a whole tree (one that Install made in an empty
// directory), what an image without dpkg and shell ships: the wanted packages
// and what they depend on, base-files, and what scripts made of them (a
// bundle of certificates, say, or the links of alternatives). Packages that
// only serve to configure others (dpkg, debconf, shells, all that is
// essential) are left out unless wanted by name. The package database becomes
// one fragment for each package, which is written into the tree. A wanted
// package that is not installed is an error.
func Distroless(tree string, wanted []string) (*Selection, error) {
	v := newView(Target{Upper: tree})
	db, err := readDatabase(v)
	if err != nil {
		return nil, err
	}
	ship, err := closure(db, wanted)
	if err != nil {
		return nil, err
	}
	s := &selector{view: v, db: db, ship: ship, paths: map[string]bool{}, listed: map[string]bool{}, foreign: map[string]bool{}}
	if err := s.lists(); err != nil {
		return nil, err
	}
	if err := s.merged(); err != nil {
		return nil, err
	}
	if err := s.made(); err != nil {
		return nil, err
	}
	if err := s.fragments(); err != nil {
		return nil, err
	}
	out := &Selection{Paths: sortedKeys(s.paths)}
	for _, name := range sortedKeys(ship) {
		out.Packages = append(out.Packages, db.installed(name))
	}
	return out, nil
}

// configureOnly are packages that others need only while they are configured.
func configureOnly(p Installed) bool {
	switch p.Name {
	case "adduser", "apt", "cdebconf", "debconf", "debconf-i18n", "install-info", "libdebconfclient0",
		"lsb-base", "passwd", "sensible-utils", "ucf", "usr-is-merged", "usrmerge":
		return true
	case "perl-base":
		return false
	}
	return p.Essential
}

// closure finds the packages to ship.
func closure(db *database, wanted []string) (map[string]bool, error) {
	providers := map[string][]string{}
	for _, p := range db.list() {
		for _, name := range mentioned(p.Provides) {
			providers[name] = append(providers[name], p.Name)
		}
	}
	ship := map[string]bool{}
	var visit func(p Installed) error
	visit = func(p Installed) error {
		if ship[p.Name] {
			return nil
		}
		ship[p.Name] = true
		groups, err := parseRelations(p.PreDepends + "," + p.Depends)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		for _, group := range groups {
			needed, ok := satisfying(db, providers, group)
			if ok && !configureOnly(needed) {
				if err := visit(needed); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, name := range append([]string{"base-files"}, wanted...) {
		p := db.installed(name)
		if p.Name == "" {
			return nil, fmt.Errorf("distroless: package %s is not installed in the tree", name)
		}
		if err := visit(p); err != nil {
			return nil, err
		}
	}
	return ship, nil
}

// satisfying picks the installed package that meets a dependency: the first
// alternative that is there, under its own name before a provided one.
func satisfying(db *database, providers map[string][]string, group relation) (Installed, bool) {
	for _, a := range group {
		if p := db.installed(a.name); p.Name != "" && a.accepts(p.Version) {
			return p, true
		}
	}
	for _, a := range group {
		for _, name := range providers[a.name] {
			return db.installed(name), true
		}
	}
	return Installed{}, false
}

type selector struct {
	view    *view
	db      *database
	ship    map[string]bool
	paths   map[string]bool // to ship
	listed  map[string]bool // real paths that some package lists
	foreign map[string]bool // real paths that a package not shipped lists
}

// add ships a path with its parents.
func (s *selector) add(at string) {
	for ; at != "." && !s.paths[at]; at = path.Dir(at) {
		s.paths[at] = true
	}
}

// lists reads the file lists of all packages.
func (s *selector) lists() error {
	for _, name := range s.view.readDir(infoDir) {
		id, ok := strings.CutSuffix(name, ".list")
		if !ok {
			continue
		}
		text, err := s.view.readFile(infoDir + "/" + name)
		if err != nil {
			return err
		}
		bare, _, _ := strings.Cut(id, ":")
		for line := range strings.SplitSeq(string(text), "\n") {
			if at := strings.TrimPrefix(line, "/"); at != "" && at != "." {
				if err := s.list(s.db.divert(at, bare), s.ship[bare]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *selector) list(name string, ship bool) error {
	dir, err := resolve(s.view.lookup, path.Dir(name), true)
	if err != nil {
		return err
	}
	at := path.Join(dir, path.Base(name))
	s.listed[at] = true
	if !ship {
		s.foreign[at] = true
		return nil
	}
	if info, _ := s.view.find(at); info != nil {
		s.add(at)
	}
	return nil
}

// merged ships the links of a merged /usr with the folders that they lead to.
func (s *selector) merged() error {
	for _, name := range s.view.readDir(".") {
		info, _ := s.view.find(name)
		if info == nil || info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		real, err := resolve(s.view.lookup, name, true)
		if err != nil {
			return err
		}
		s.add(name)
		s.add(real)
	}
	return nil
}

// made ships what no package lists and scripts made: what is needed anyway,
// links that lead to something shipped, and what lies in folders that only
// shipped packages use.
func (s *selector) made() error {
	for _, name := range generated {
		if info, _ := s.view.find(name); info != nil {
			s.add(name)
		}
	}
	if s.ship["tzdata"] {
		for _, name := range []string{"etc/localtime", "etc/timezone"} {
			if info, _ := s.view.find(name); info != nil {
				s.add(name)
			}
		}
	}
	return filepath.WalkDir(s.view.layers[0], func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		at, err := filepath.Rel(s.view.layers[0], name)
		if err != nil || at == "." || s.listed[at] {
			return err
		}
		if strings.HasPrefix(at, adminDir+"/") {
			return nil
		}
		if s.leadsToShipped(at, entry) || s.inShipped(at) {
			s.add(at)
		}
		return nil
	})
}

func (s *selector) leadsToShipped(at string, entry fs.DirEntry) bool {
	if entry.Type()&fs.ModeSymlink == 0 {
		return false
	}
	real, err := resolve(s.view.lookup, at, true)
	return err == nil && s.paths[real] && s.listed[real]
}

// inShipped says whether the nearest listed folder above belongs to shipped
// packages only.
func (s *selector) inShipped(at string) bool {
	for dir := path.Dir(at); dir != "."; dir = path.Dir(dir) {
		if s.listed[dir] {
			return s.paths[dir] && !s.foreign[dir]
		}
	}
	return false
}

// fragments writes the package database of the image.
func (s *selector) fragments() error {
	_, w, err := (&job{Install: &Install{}, view: s.view}).plan(nil, false)
	if err != nil {
		return err
	}
	defer w.root.Close()
	for _, p := range s.db.stanzas {
		name := p.value("Package")
		if !s.ship[name] {
			continue
		}
		var text strings.Builder
		p.writeTo(&text, "Status", "Conffiles")
		files := map[string][]byte{name: []byte(text.String())}
		for _, id := range []string{name, name + ":" + p.value("Architecture")} {
			sums, err := s.view.readFile(infoDir + "/" + id + ".md5sums")
			if err == nil {
				files[name+".md5sums"] = sums
			} else if !os.IsNotExist(err) {
				return err
			}
		}
		for file, data := range files {
			at := fragmentDir + "/" + file
			if err := w.put(at, data, 0o644); err != nil {
				return err
			}
			s.add(at)
		}
	}
	return nil
}

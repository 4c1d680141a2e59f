package debian

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
)

// Where dpkg keeps its database, below the root.
const (
	adminDir      = "var/lib/dpkg"
	infoDir       = adminDir + "/info"
	triggerDir    = adminDir + "/triggers"
	statusFile    = adminDir + "/status"
	diversionFile = adminDir + "/diversions"
)

// database is what the dpkg database of a tree says, read once.
type database struct {
	view       *view
	stanzas    []*paragraph
	byName     map[string]Installed
	diversions map[string]diversion // by path, without the leading slash
	owners     map[string]string    // path -> package id; nil until asked for
}

type diversion struct{ to, by string }

// readDatabase reads the database of a tree; one that does not exist is empty.
func readDatabase(v *view) (*database, error) {
	db := &database{view: v, byName: map[string]Installed{}, diversions: map[string]diversion{}}
	text, err := v.readFile(statusFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if db.stanzas, err = readParagraphs(bytes.NewReader(text)); err != nil {
		return nil, fmt.Errorf("read /%s: %w", statusFile, err)
	}
	installed, err := ReadStatus(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for _, p := range installed {
		db.byName[p.Name] = p
	}
	return db, db.readDiversions()
}

func (db *database) installed(name string) Installed { return db.byName[name] }

// list is what is installed, by name.
func (db *database) list() []Installed {
	var all []Installed
	for _, s := range db.stanzas {
		if present(strings.Fields(s.value("Status"))) {
			all = append(all, installedOf(s))
		}
	}
	return all
}

func (db *database) empty() bool { return len(db.byName) == 0 }

// readDiversions reads triples of lines: a path, where it goes, and the
// package whose own file stays (":" for none).
func (db *database) readDiversions() error {
	text, err := db.view.readFile(diversionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for ; len(lines) >= 3; lines = lines[3:] {
		from, to := strings.TrimPrefix(lines[0], "/"), strings.TrimPrefix(lines[1], "/")
		if to, err = cleanName(to); err != nil {
			return fmt.Errorf("read /%s: %w", diversionFile, err)
		}
		db.diversions[from] = diversion{to, lines[2]}
	}
	return nil
}

// divert says where a package's file of that name goes.
func (db *database) divert(name, pkg string) string {
	if d, ok := db.diversions[name]; ok && d.by != pkg {
		return d.to
	}
	return name
}

// owner is the id of the installed package that lists a path, "" when none
// does.
func (db *database) owner(name string) (string, error) {
	if db.owners == nil {
		owners, err := db.readOwners()
		if err != nil {
			return "", err
		}
		db.owners = owners
	}
	return db.owners[name], nil
}

func (db *database) readOwners() (map[string]string, error) {
	owners := map[string]string{}
	files := db.view.readDir(infoDir)
	sort.Strings(files)
	for _, name := range files {
		id, ok := strings.CutSuffix(name, ".list")
		if !ok {
			continue
		}
		text, err := db.view.readFile(infoDir + "/" + name)
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			if line != "" {
				owners[strings.TrimPrefix(line, "/")] = id
			}
		}
	}
	return owners, nil
}

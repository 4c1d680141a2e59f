package debian

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// index is one Packages file: what it lists, in its order. The strings of its
// packages point into text.
type index struct {
	suite    string
	text     string
	packages []Package
}

// parseIndex reads a Packages file. It takes one pass and copies nothing, as
// such a file has tens of megabytes; fields it does not know are skipped. A
// package without name, version, path, size or a good hash is an error.
func parseIndex(suite, text string) (*index, error) {
	ix := &index{suite: suite, text: text, packages: make([]Package, 0, len(text)/700)}
	var p Package
	open := false
	flush := func() error {
		if !open {
			return nil
		}
		open = false
		if err := checkPackage(&p); err != nil {
			return err
		}
		p.Suite = suite
		ix.packages = append(ix.packages, p)
		return nil
	}
	for rest := text; rest != ""; {
		field := rest
		if i := fieldEnd(rest); i < len(rest) {
			field, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		if strings.TrimSpace(field) == "" {
			if err := flush(); err != nil {
				return nil, err
			}
			p = Package{}
			continue
		}
		open = true
		if err := p.set(field); err != nil {
			return nil, fmt.Errorf("package %q: %w", p.Name, err)
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return ix, nil
}

// fieldEnd is where the line end of the first field of text lies, continuation
// lines included.
func fieldEnd(text string) int {
	at := 0
	for {
		i := strings.IndexByte(text[at:], '\n')
		if i < 0 {
			return len(text)
		}
		at += i
		if at+1 >= len(text) || (text[at+1] != ' ' && text[at+1] != '\t') || at == 0 {
			return at
		}
		at++
	}
}

// set stores one field of a stanza when it is one that packages keep.
func (p *Package) set(field string) (err error) {
	name, value, ok := strings.Cut(field, ":")
	if !ok {
		return fmt.Errorf("%.60q is not a field", field)
	}
	value = strings.TrimSpace(value)
	switch name {
	case "Package":
		p.Name = value
	case "Version":
		p.Version = value
	case "Architecture":
		p.Arch = value
	case "Filename":
		p.Path = value
	case "Size":
		p.Size, err = strconv.ParseInt(value, 10, 64)
	case "SHA256":
		p.SHA256 = value
	case "Essential":
		p.Essential = value == "yes"
	case "Installed-Size":
		p.InstalledSize, err = strconv.ParseInt(value, 10, 64)
	default:
		if target := p.textField(name); target != nil {
			*target = value
		}
	}
	return err
}

// textField is where the field of that name is kept, nil when it is not.
func (p *Package) textField(name string) *string {
	switch name {
	case "Priority":
		return &p.Priority
	case "Multi-Arch":
		return &p.MultiArch
	case "Source":
		return &p.Source
	case "Depends":
		return &p.Depends
	case "Pre-Depends":
		return &p.PreDepends
	case "Provides":
		return &p.Provides
	case "Conflicts":
		return &p.Conflicts
	case "Breaks":
		return &p.Breaks
	case "Replaces":
		return &p.Replaces
	}
	return nil
}

// checkPackage refuses what could not be fetched and installed safely: names
// and paths become file names later.
func checkPackage(p *Package) error {
	switch {
	case !validName(p.Name):
		return fmt.Errorf("package %.80q: not a package name", p.Name)
	case p.Version == "":
		return fmt.Errorf("package %q: no version", p.Name)
	case p.Path == "" || path.IsAbs(p.Path) || path.Clean("/" + p.Path)[1:] != strings.TrimPrefix(p.Path, "./"):
		return fmt.Errorf("package %q: path %.120q is not a clean path below the mirror", p.Name, p.Path)
	case !isHexDigest(p.SHA256):
		return fmt.Errorf("package %q: %.80q is not a sha256", p.Name, p.SHA256)
	case p.Size <= 0:
		return fmt.Errorf("package %q: size is %d", p.Name, p.Size)
	}
	return nil
}

func isHexDigest(text string) bool {
	if len(text) != 64 {
		return false
	}
	for i := 0; i < len(text); i++ {
		if !isDigit(text[i]) && (text[i] < 'a' || text[i] > 'f') {
			return false
		}
	}
	return true
}

package debian

import (
	"archive/tar"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// register writes what dpkg would have written had it unpacked the packages
// of a plan: control files and lists below info/, trigger interests, and
// stanzas with the state "install ok unpacked".
func (w *writer) register(set []*contents) error {
	for _, c := range set {
		if err := w.registerList(c); err != nil {
			return fmt.Errorf("register %s: %w", c.Name, err)
		}
	}
	if err := w.dropTaken(); err != nil {
		return err
	}
	if err := w.registerTriggers(set); err != nil {
		return err
	}
	return w.registerStatus(set)
}

// registerControl writes the control files of a package, which its preinst
// script needs before anything else is there.
func (w *writer) registerControl(c *contents) error {
	for _, f := range c.control {
		if err := w.put(infoDir+"/"+c.id()+"."+f.name, f.data, f.mode); err != nil {
			return fmt.Errorf("register %s: %w", c.Name, err)
		}
	}
	return nil
}

// put writes a small file of root's in the upper tree, in place of what was
// there.
func (w *writer) put(name string, data []byte, mode int64) error {
	real, err := resolve(w.plan.lookup, name, false)
	if err != nil {
		return err
	}
	if err := w.ensureDir(path.Dir(real)); err != nil {
		return err
	}
	if err := w.root.Remove(real); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := w.root.WriteFile(real, data, 0o600); err != nil {
		return err
	}
	if err := w.root.Lchown(real, 0, 0); err != nil {
		return err
	}
	return w.root.Chmod(real, fileMode(mode))
}

func (w *writer) registerList(c *contents) error {
	var list strings.Builder
	for i := range c.entries {
		name := c.entries[i].name
		if !w.plan.lost[c][name] {
			list.WriteString("/" + name + "\n")
		}
	}
	if err := w.put(infoDir+"/"+c.id()+".list", []byte(list.String()), 0o644); err != nil {
		return err
	}
	if c.controlData("md5sums") != nil {
		return nil
	}
	sums, err := c.md5sums()
	if err != nil {
		return err
	}
	return w.put(infoDir+"/"+c.id()+".md5sums", sums, 0o644)
}

// md5sums makes the list of hashes that a package came without, as dpkg does
// on unpacking: files but not configuration files.
func (c *contents) md5sums() ([]byte, error) {
	var out strings.Builder
	for i := range c.entries {
		e := &c.entries[i]
		if e.typ != tar.TypeReg || c.conffiles[e.name] {
			continue
		}
		sum, err := c.md5(e)
		if err != nil {
			return nil, err
		}
		out.WriteString(sum + "  " + e.name + "\n")
	}
	return []byte(out.String()), nil
}

// md5 is the MD5 of a member's content, in hexadecimal.
func (c *contents) md5(e *entry) (string, error) {
	sum := md5.New()
	if _, err := io.Copy(sum, io.NewSectionReader(c.unpacked.data, e.offset, e.size)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// dropTaken removes from the lists of installed packages the files that now
// belong to others.
func (w *writer) dropTaken() error {
	ids := make([]string, 0, len(w.plan.taken))
	for id := range w.plan.taken {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	for _, id := range ids {
		name := infoDir + "/" + id + ".list"
		text, err := w.plan.view.readFile(name)
		if err != nil {
			return err
		}
		var kept strings.Builder
		for line := range strings.Lines(string(text)) {
			if !w.plan.taken[id][strings.TrimSuffix(line, "\n")] {
				kept.WriteString(line)
			}
		}
		if err := w.put(name, []byte(kept.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// registerStatus appends the packages to the status file, dropping the
// stanzas of earlier, removed installations.
func (w *writer) registerStatus(set []*contents) error {
	fresh := map[string]bool{}
	for _, c := range set {
		fresh[c.Name+" "+c.Arch] = true
	}
	var status strings.Builder
	for _, s := range w.plan.db.stanzas {
		if !fresh[s.value("Package")+" "+s.value("Architecture")] {
			s.writeTo(&status)
			status.WriteString("\n")
		}
	}
	for _, c := range set {
		status.WriteString("Package: " + c.Name + "\nStatus: install ok unpacked\n")
		c.stanza.writeTo(&status, "Package", "Status", "Conffiles")
		if err := w.conffiles(&status, c); err != nil {
			return fmt.Errorf("register %s: %w", c.Name, err)
		}
		status.WriteString("\n")
	}
	return w.put(statusFile, []byte(status.String()), 0o644)
}

// conffiles writes the Conffiles field: the MD5 of those that are in place,
// and "newconffile" for those that wait as .dpkg-new for dpkg's decision.
func (w *writer) conffiles(status *strings.Builder, c *contents) error {
	first := true
	for i := range c.entries {
		e := &c.entries[i]
		if !c.conffiles[e.name] || w.plan.lost[c][e.name] {
			continue
		}
		hash, err := w.conffileHash(c, e)
		if err != nil {
			return err
		}
		if first {
			status.WriteString("Conffiles:\n")
			first = false
		}
		status.WriteString(" /" + e.name + " " + hash + "\n")
	}
	return nil
}

func (w *writer) conffileHash(c *contents, e *entry) (string, error) {
	at, err := w.plan.locate(w.plan.db.divert(e.name, c.Name))
	if err != nil {
		return "", err
	}
	if n := w.plan.nodes[at+newConffile]; n != nil && n.from == c {
		return "newconffile", nil
	}
	return c.md5(e)
}

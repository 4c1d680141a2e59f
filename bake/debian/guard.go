package debian

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// guard keeps maintainer scripts from starting services: it puts a policy-rc.d
// that forbids all (exit status 101) and a start-stop-daemon that does nothing
// into the tree, and takes both away again.
type guard struct {
	upper string
	set   []guarded
}

// guarded is a file that stands in for another, or for none.
type guarded struct {
	path   string
	stand  []byte
	hidden string // where the upper tree's own file waits; "" when it had none
}

const (
	policyFile = "usr/sbin/policy-rc.d"
	policyText = "#!/bin/sh\nexit 101\n"
	daemonText = "#!/bin/sh\nexit 0\n"
)

// newGuard puts the files up. Where there is no usr/sbin yet, none is needed.
func newGuard(v *view) (*guard, error) {
	g := &guard{upper: v.layers[0]}
	sbin, err := resolve(v.lookup, "usr/sbin", true)
	if err != nil {
		return nil, err
	}
	err = g.put(v, path.Join(sbin, path.Base(policyFile)), policyText)
	for _, name := range []string{"sbin/start-stop-daemon", "usr/sbin/start-stop-daemon"} {
		real, rerr := resolve(v.lookup, name, true)
		if info, _ := v.find(real); err != nil || rerr != nil || info == nil || g.has(real) {
			continue
		}
		err = g.put(v, real, daemonText)
	}
	if err != nil {
		return nil, errors.Join(err, g.remove())
	}
	return g, nil
}

func (g *guard) has(path string) bool {
	for _, s := range g.set {
		if s.path == path {
			return true
		}
	}
	return false
}

func (g *guard) put(v *view, name, text string) error {
	w, err := newWriter(newPlan(v, &database{view: v}))
	if err != nil {
		return err
	}
	defer w.root.Close()
	if err := w.ensureDir(path.Dir(name)); err != nil {
		return err
	}
	s := guarded{path: name, stand: []byte(text)}
	if _, err := w.root.Lstat(name); err == nil {
		s.hidden = name + ".kiln-real"
		if err := w.root.Rename(name, s.hidden); err != nil {
			return err
		}
	}
	g.set = append(g.set, s)
	return w.put(name, s.stand, 0o755)
}

// remove puts the real files back. One that was replaced meanwhile, by an
// upgrade of its package, stays as it is.
func (g *guard) remove() error {
	root, err := os.OpenRoot(g.upper)
	if err != nil {
		return err
	}
	defer root.Close()
	var problems []error
	for _, s := range g.set {
		now, err := os.ReadFile(filepath.Join(g.upper, s.path))
		replaced := err == nil && !bytes.Equal(now, s.stand)
		switch {
		case replaced && s.hidden != "":
			err = root.Remove(s.hidden)
		case replaced:
			err = nil
		case s.hidden != "":
			err = root.Rename(s.hidden, s.path)
		default:
			if err = root.Remove(s.path); errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		problems = append(problems, err)
	}
	g.set = nil
	return errors.Join(problems...)
}

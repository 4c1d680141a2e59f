package template

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
)

// Hardening is what is taken from an image after all of its steps.
type Hardening struct {
	NoSetuid         bool // no file has set-id bits
	NoShell          bool // no shell is there
	NoPackageManager bool // apt, dpkg and their like are gone; the list of packages stays
	ReadOnlyRoot     bool // a test proves that it starts with a root that nobody can write to
}

// hardening reads the hardening block; nil without one.
func (l *loader) hardening(image *section) *Hardening {
	s := image.block("hardening")
	if s == nil {
		return nil
	}
	h := &Hardening{
		NoSetuid: s.boolean("no_setuid"), NoShell: s.boolean("no_shell"),
		NoPackageManager: s.boolean("no_package_manager"), ReadOnlyRoot: s.boolean("read_only_root"),
	}
	if *h == (Hardening{}) {
		s.add(s.body.SrcRange, s.where, "set no_setuid, no_shell, no_package_manager or read_only_root to true", "the block hardens nothing")
	}
	s.done()
	return h
}

// Names lists what is set, sorted, as annotations and provenance have it.
func (h *Hardening) Names() []string {
	var list []string
	if h == nil {
		return nil
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{h.NoPackageManager, "no_package_manager"}, {h.NoSetuid, "no_setuid"}, {h.NoShell, "no_shell"}, {h.ReadOnlyRoot, "read_only_root"}} {
		if f.on {
			list = append(list, f.name)
		}
	}
	return list
}

// Removes says whether hardening changes files.
func (h *Hardening) Removes() bool {
	return h != nil && (h.NoSetuid || h.NoShell || h.NoPackageManager)
}

// lacks finds the nearest image, im or what it is made from, whose hardening
// took something.
func (im *Image) lacks(what func(*Hardening) bool) *Image {
	for ; im != nil; im = im.Parent() {
		if im.Hardening != nil && what(im.Hardening) {
			return im
		}
	}
	return nil
}

func noShell(h *Hardening) bool          { return h.NoShell }
func noPackageManager(h *Hardening) bool { return h.NoPackageManager }

// checkHardening holds steps and tests against what hardening took from the
// image and from those below it.
func (l *loader) checkHardening(where string, im *Image) {
	at := func(p Pos) hcl.Range { return hcl.Range{Start: hcl.Pos{Line: p.Line}} }
	if h := im.Parent().lacks(noPackageManager); h != nil && len(im.AllPackages()) > 0 {
		l.add(at(im.Pos), where, fmt.Sprintf("install them in image %q, or harden only the last image", h.Name),
			"the hardening of image %q left no package manager to add packages with", h.Name)
	}
	if h := im.Parent().lacks(noShell); h != nil {
		for _, step := range im.Steps {
			if r, ok := step.(*Run); ok && isShell(r.Command) {
				l.add(at(r.Pos), where+": run", "call the program itself, or harden only the last image", "the hardening of image %q left no shell", h.Name)
			}
		}
	}
	if h := im.lacks(noShell); h != nil {
		for _, t := range im.Tests {
			if isShell(t.Command) {
				l.add(at(t.Pos), fmt.Sprintf("%s: test %q", where, t.Name), "call the program itself, or use http", "the hardening of image %q left no shell", h.Name)
			}
		}
	}
	if im.Hardening != nil && im.Hardening.ReadOnlyRoot {
		l.checkReadOnly(where, im)
	}
}

// checkReadOnly wants a proof of read_only_root: a test that starts the image.
func (l *loader) checkReadOnly(where string, im *Image) {
	proof := false
	for _, t := range im.Tests {
		proof = proof || !t.WritableRoot
		if t.WritableRoot && t.HTTP != nil {
			l.add(hcl.Range{Start: hcl.Pos{Line: t.Pos.Line}}, fmt.Sprintf("%s: test %q", where, t.Name),
				"leave writable out", "read_only_root, but the test starts the image with a root that it can write to")
			return
		}
	}
	if !proof {
		l.add(hcl.Range{Start: hcl.Pos{Line: im.Pos.Line}}, where, "add test \"starts\" { http { port = … } } or a command: tests run with a read-only root",
			"read_only_root is for a test to prove, and there is none")
	}
}

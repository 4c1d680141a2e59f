package debian

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ResolveError says why a package cannot be installed: the chain of relations
// from it to what is missing or in the way.
type ResolveError struct {
	// Subject is what asked for the package: "packages" or "variant minbase".
	Subject string
	// Package is the one that was asked for.
	Package string
	// Reasons lead from Package to the cause, such as "foo depends on bar
	// (>= 2)", "bar is 1.0".
	Reasons []string
}

// Error writes the chain in one line.
func (e *ResolveError) Error() string {
	chain := slices.Clone(e.Reasons)
	text := strings.Join(chain, "; ")
	if n := len(chain); n > 1 {
		text = strings.Join(chain[:n-1], "; ") + ", but " + chain[n-1]
	}
	return fmt.Sprintf("%s: %q cannot be installed: %s", e.Subject, e.Package, text)
}

// dependsError is one link: a relation that could not be met, and why.
type dependsError struct {
	owner string
	group relation
	via   string // the package that was tried first, "" when there is none
	cause error
}

func (e *dependsError) Error() string {
	text := e.owner + " depends on " + e.group.String()
	if e.via != "" && e.group[0].name != e.via {
		text += " (taking " + e.via + ")"
	}
	return text
}

func (e *dependsError) Unwrap() error { return e.cause }

// clashError says that one package excludes another.
type clashError struct {
	from, to, old *choice
	because       relation
	breaks        bool
}

func (e *clashError) Error() string {
	verb := "conflicts with"
	if e.breaks {
		verb = "breaks"
	}
	text := fmt.Sprintf("%s %s %s", e.from.name, verb, e.because)
	if e.because[0].name != e.to.name || e.because[0].op != "" {
		text += fmt.Sprintf(", which %s %s meets", e.to.name, e.to.version)
	}
	switch {
	case e.old.pkg == nil:
		text += fmt.Sprintf("; %s is in the parent", e.old.name)
	case e.old.parent != nil:
		text += fmt.Sprintf("; %s is needed by %s", e.old.name, e.old.parent.name)
	default:
		text += fmt.Sprintf("; %s is asked for as well", e.old.name)
	}
	return text
}

// reasons unfolds the links of a chain.
func reasons(err error) []string {
	var out []string
	for err != nil {
		out = append(out, err.Error())
		var link *dependsError
		if !errors.As(err, &link) {
			break
		}
		err = link.cause
	}
	return out
}

// whyNone says why no package meets a relation.
func (r *resolver) whyNone(group relation) error {
	var parts []string
	for _, a := range group {
		parts = append(parts, r.whyNot(a))
	}
	return errors.New(strings.Join(parts, " and "))
}

func (r *resolver) whyNot(a alternative) string {
	if c := r.chosen[a.name]; c != nil {
		text := fmt.Sprintf("%s is %s", a.name, c.version)
		if c.pkg == nil {
			text += " in the parent"
			if p := r.u.candidate(a.name); p != nil && a.accepts(p.Version) {
				text += fmt.Sprintf(" and %s in the archive: lock the parent again with kiln lock --update", p.Version)
			}
		}
		return text
	}
	if r.banned[a.name] {
		return a.name + " excludes another package of the image"
	}
	p := r.u.candidate(a.name)
	switch {
	case p == nil && len(r.u.providers[a.name]) == 0:
		return fmt.Sprintf("no package %s is in %s", a.name, r.u.describe())
	case p == nil:
		return fmt.Sprintf("no provider of %s has such a version", a.name)
	case !a.accepts(p.Version):
		return fmt.Sprintf("%s is %s", a.name, p.Version)
	}
	return fmt.Sprintf("%s is not for %s", a.name, a)
}

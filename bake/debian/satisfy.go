package debian

// acceptsProvided says whether a provided name meets the constraint: without a
// version it meets only a relation without one.
func (a alternative) acceptsProvided(version string) bool {
	return a.op == "" || version != "" && a.accepts(version)
}

// fits says whether a package's architecture meets the qualifier of a
// relation: "any" needs Multi-Arch: allowed, an architecture is the one that
// is installed for or none.
func (u *universe) fits(a alternative, arch, multiArch string) bool {
	switch a.qualifier {
	case "", "native", u.arch:
		return true
	case "any":
		return multiArch == "allowed"
	case "all":
		return arch == "all"
	}
	return false
}

// satisfied says whether a choice meets one of the alternatives of a relation
// of owner.
func (r *resolver) satisfied(owner *choice, group relation) bool {
	for _, a := range group {
		if c := r.chosen[a.name]; c != nil && a.accepts(c.version) && r.u.fits(a, c.arch, c.multiArch) {
			return true
		}
		for _, c := range r.providing[a.name] {
			if r.provides(c, a) {
				return true
			}
		}
	}
	return false
}

// provides says whether a choice provides what an alternative asks for.
func (r *resolver) provides(c *choice, a alternative) bool {
	for _, p := range c.provides {
		if p[0].name == a.name && a.acceptsProvided(p[0].version) && r.u.fits(a, c.arch, c.multiArch) {
			return true
		}
	}
	return false
}

// clash finds a choice that the new one excludes or is excluded by.
func (r *resolver) clash(c *choice) *clashError {
	for i, n := range c.negative() {
		if old := r.hit(n[0], c); old != nil {
			return &clashError{from: c, to: old, old: old, because: n, breaks: i >= len(c.conflicts)}
		}
	}
	names := []string{c.name}
	for _, p := range c.provides {
		names = append(names, p[0].name)
	}
	for _, name := range names {
		for _, old := range r.opposing[name] {
			for i, n := range old.negative() {
				if old.name != c.name && n[0].name == name && r.matches(c, n[0]) {
					return &clashError{from: old, to: c, old: old, because: n, breaks: i >= len(old.conflicts)}
				}
			}
		}
	}
	return nil
}

// hit finds a choice other than c that a negative relation matches.
func (r *resolver) hit(a alternative, c *choice) *choice {
	if old := r.chosen[a.name]; old != nil && old.name != c.name && r.matches(old, a) {
		return old
	}
	for _, old := range r.providing[a.name] {
		if old.name != c.name && r.matches(old, a) {
			return old
		}
	}
	return nil
}

// matches says whether a choice is, or provides, what an alternative names.
func (r *resolver) matches(c *choice, a alternative) bool {
	if a.qualifier != "" && a.qualifier != "any" && a.qualifier != r.u.arch && a.qualifier != "native" {
		return false
	}
	if c.name == a.name && a.accepts(c.version) {
		return true
	}
	for _, p := range c.provides {
		if p[0].name == a.name && a.acceptsProvided(p[0].version) {
			return true
		}
	}
	return false
}

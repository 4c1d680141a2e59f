package debian

import (
	"fmt"
	"slices"
)

// choice is a package that will be in the image: one of the archive, or one
// that the parent has (pkg is nil).
type choice struct {
	pkg       *Package
	name      string
	version   string
	arch      string
	multiArch string

	depends   []relation // Pre-Depends, then Depends
	conflicts []relation
	breaks    []relation
	provides  []relation

	parent  *choice  // whose dependency brought it in
	because relation // that dependency
	options int      // how many packages could have met it
}

// resolver is one attempt to meet a request. It goes depth first as apt does,
// and takes back what a failed choice brought in.
type resolver struct {
	u      *universe
	banned map[string]bool // choices that a former attempt regretted
	named  map[string]bool // what the request names

	chosen    map[string]*choice
	providing map[string][]*choice // by the names that choices provide
	opposing  map[string][]*choice // by the names that choices conflict with
	trail     []*choice
	failed    map[*Package]error // as in apt, a package that failed once is not tried again
	clashes   []*clashError
	mentions  map[string]mention
}

func newResolver(u *universe, installed []Installed, banned map[string]bool) (*resolver, error) {
	r := &resolver{
		u: u, banned: banned, named: map[string]bool{}, chosen: map[string]*choice{},
		providing: map[string][]*choice{}, opposing: map[string][]*choice{}, failed: map[*Package]error{},
		mentions: map[string]mention{},
	}
	for _, in := range installed {
		if in.Arch != u.arch && in.Arch != "all" {
			continue
		}
		c := &choice{name: in.Name, version: in.Version, arch: in.Arch, multiArch: in.MultiArch}
		err := c.parse(in.PreDepends, in.Depends, in.Conflicts, in.Breaks, in.Provides)
		if err != nil {
			return nil, fmt.Errorf("package %s of the parent: %w", in.Name, err)
		}
		r.push(c)
	}
	return r, nil
}

// parse reads the relation fields. Pre-Depends come before Depends, Conflicts
// before Breaks.
func (c *choice) parse(preDepends, depends, conflicts, breaks, provides string) error {
	for _, f := range []struct {
		text string
		into *[]relation
	}{{preDepends, &c.depends}, {depends, &c.depends}, {conflicts, &c.conflicts}, {breaks, &c.breaks}, {provides, &c.provides}} {
		list, err := parseRelations(f.text)
		if err != nil {
			return err
		}
		*f.into = append(*f.into, list...)
	}
	return nil
}

// negative are the relations that exclude others.
func (c *choice) negative() []relation { return slices.Concat(c.conflicts, c.breaks) }

// mark chooses a package without what it depends on. It is an error when the
// package and one chosen before exclude each other.
func (r *resolver) mark(p *Package, parent *choice, because relation, options int) (*choice, error) {
	c := &choice{
		pkg: p, name: p.Name, version: p.Version, arch: p.Arch, multiArch: p.MultiArch,
		parent: parent, because: because, options: options,
	}
	if err := c.parse(p.PreDepends, p.Depends, p.Conflicts, p.Breaks, p.Provides); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	if clash := r.clash(c); clash != nil {
		r.clashes = append(r.clashes, clash)
		return nil, clash
	}
	r.push(c)
	return c, nil
}

func (r *resolver) push(c *choice) {
	r.chosen[c.name] = c
	r.trail = append(r.trail, c)
	for _, p := range c.provides {
		r.providing[p[0].name] = append(r.providing[p[0].name], c)
	}
	for _, n := range c.negative() {
		r.opposing[n[0].name] = append(r.opposing[n[0].name], c)
	}
}

// undo takes back all choices made since the trail had that length.
func (r *resolver) undo(length int) {
	for len(r.trail) > length {
		c := r.trail[len(r.trail)-1]
		r.trail = r.trail[:len(r.trail)-1]
		delete(r.chosen, c.name)
		for _, p := range c.provides {
			r.providing[p[0].name] = without(r.providing[p[0].name], c)
		}
		for _, n := range c.negative() {
			r.opposing[n[0].name] = without(r.opposing[n[0].name], c)
		}
	}
}

func without(list []*choice, c *choice) []*choice {
	return slices.DeleteFunc(list, func(x *choice) bool { return x == c })
}

// satisfy brings in what a choice depends on, in the order of its fields.
func (r *resolver) satisfy(c *choice) error {
	for _, group := range c.depends {
		if r.satisfied(c, group) {
			continue
		}
		if err := r.install(c, group); err != nil {
			return err
		}
	}
	return nil
}

// install tries the packages that could meet a relation, the best first.
func (r *resolver) install(c *choice, group relation) error {
	options := r.options(group)
	var first error
	for _, p := range options {
		err := r.failed[p]
		if err == nil {
			if err = r.try(p, c, group, len(options)); err == nil {
				return nil
			}
			r.failed[p] = err
		}
		if first == nil {
			first = &dependsError{c.name, group, p.Name, err}
		}
	}
	if first == nil {
		first = &dependsError{c.name, group, "", r.whyNone(group)}
	}
	return first
}

func (r *resolver) try(p *Package, parent *choice, because relation, options int) error {
	before := len(r.trail)
	c, err := r.mark(p, parent, because, options)
	if err == nil {
		err = r.satisfy(c)
	}
	if err != nil {
		r.undo(before)
	}
	return err
}

// options lists the packages that would meet a relation: for each alternative
// in turn the package of that name and those that provide it.
func (r *resolver) options(group relation) []*Package {
	var out []*Package
	for _, a := range group {
		var list []*Package
		add := func(p *Package) {
			if p != nil && !r.banned[p.Name] && r.chosen[p.Name] == nil &&
				!slices.Contains(list, p) && !slices.Contains(out, p) {
				list = append(list, p)
			}
		}
		if p := r.u.candidate(a.name); p != nil && a.accepts(p.Version) && r.u.fits(a, p.Arch, p.MultiArch) {
			add(p)
		}
		for _, pr := range r.u.providers[a.name] {
			if a.acceptsProvided(pr.version) && r.u.fits(a, pr.pkg.Arch, pr.pkg.MultiArch) {
				add(pr.pkg)
			}
		}
		slices.SortStableFunc(list, r.better(a.name))
		out = append(out, list...)
	}
	return out
}

// revocable names a choice that stood in the way of another and could have
// been made differently, "" when there is none.
func (r *resolver) revocable() string {
	for _, clash := range r.clashes {
		for c := clash.old; c != nil; c = c.parent {
			if c.options > 1 && !r.named[c.name] && !r.banned[c.name] {
				return c.name
			}
		}
	}
	return ""
}

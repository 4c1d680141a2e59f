package debian

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Request says what an image shall have.
type Request struct {
	// Variant adds a base system: "minbase" (all that is essential or of
	// priority required, as mmdebstrap has it) or "essential". With
	// "distroless" and "" there are only the packages and what they need.
	Variant string
	// Packages by name, or as name=version.
	Packages []string
	// Installed is what the parent has. It stays as it is: nothing of it is
	// upgraded or removed.
	Installed []Installed
}

// maxRestarts bounds how many choices are taken back before giving up.
const maxRestarts = 64

// Resolve chooses the packages to install so that every relation holds:
// the same ones at the same versions as apt chooses without Recommends. What
// is installed already is not among them. They come in the order of their
// names. A request that cannot be met is a *ResolveError.
func (a *Archive) Resolve(ctx context.Context, req Request) ([]Package, error) {
	banned := map[string]bool{}
	var firstErr error
	for range maxRestarts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		r, err := newResolver(a.universe, req.Installed, banned)
		if err != nil {
			return nil, err
		}
		if err = r.run(req); err == nil {
			return r.result(), nil
		}
		if firstErr == nil {
			firstErr = err
		}
		culprit := r.revocable()
		if culprit == "" {
			break
		}
		banned[culprit] = true
	}
	return nil, firstErr
}

// run installs the variant and the requested packages, in mmdebstrap's two
// steps: first what is essential, then the rest.
func (r *resolver) run(req Request) error {
	essential := func(p *Package) bool { return p.Essential }
	required := func(p *Package) bool { return p.Priority == "required" && !p.Essential }
	var base, rest []*Package
	switch req.Variant {
	case "minbase":
		base, rest = r.u.selectMain(essential), r.u.selectMain(required)
	case "essential":
		base = r.u.selectMain(essential)
	case "distroless", "":
	default:
		return fmt.Errorf("variant %q is not known: use minbase, essential or distroless", req.Variant)
	}
	if len(base) == 0 && req.Variant != "distroless" && req.Variant != "" {
		return fmt.Errorf("variant %s: the archive has no essential package", req.Variant)
	}
	if err := r.step("variant "+req.Variant, base); err != nil {
		return err
	}
	requested, err := r.requested(req.Packages)
	if err != nil {
		return err
	}
	if err := r.step("packages", requested); err != nil {
		return err
	}
	return r.step("variant "+req.Variant, rest)
}

// step marks all of a list first, so that they count when alternatives are
// weighed, and then brings in what each needs.
func (r *resolver) step(subject string, list []*Package) error {
	var marked []*choice
	for _, p := range list {
		if c := r.chosen[p.Name]; c != nil {
			continue
		}
		c, err := r.mark(p, nil, relation{}, 1)
		if err != nil {
			return &ResolveError{Subject: subject, Package: p.Name, Reasons: reasons(err)}
		}
		marked = append(marked, c)
	}
	for _, c := range marked {
		if err := r.satisfy(c); err != nil {
			return &ResolveError{Subject: subject, Package: c.name, Reasons: reasons(err)}
		}
	}
	return nil
}

// requested finds the packages that the request names.
func (r *resolver) requested(names []string) ([]*Package, error) {
	var out []*Package
	for _, text := range names {
		p, err := r.request(text)
		if err != nil {
			return nil, &ResolveError{Subject: "packages", Package: text, Reasons: reasons(err)}
		}
		if p != nil {
			out = append(out, p)
			r.named[p.Name] = true
		}
	}
	return out, nil
}

// request finds one package, nil when the parent has it.
func (r *resolver) request(text string) (*Package, error) {
	name, version, pinned := strings.Cut(text, "=")
	if !validName(name) {
		return nil, errors.New("not a package name")
	}
	if c := r.chosen[name]; c != nil && c.pkg == nil {
		if pinned && c.version != version {
			return nil, fmt.Errorf("%s is installed at %s in the parent, not at %s: lock the parent again", name, c.version, version)
		}
		return nil, nil
	}
	if pinned {
		for _, p := range r.u.versions[name] {
			if p.Version == version {
				if c := r.chosen[name]; c != nil && c.pkg != p {
					return nil, fmt.Errorf("%s %s is chosen already", name, c.version)
				}
				return p, nil
			}
		}
	}
	if p := r.u.candidate(name); p != nil && !pinned {
		return p, nil
	}
	return r.requestVirtual(name, version)
}

// requestVirtual takes the only package that provides a name, as apt does.
func (r *resolver) requestVirtual(name, version string) (*Package, error) {
	if p := r.u.candidate(name); p != nil {
		return nil, fmt.Errorf("the archive has %s at %s, not at %s", name, p.Version, version)
	}
	var providers []string
	for _, pr := range r.u.providers[name] {
		if c := r.chosen[pr.pkg.Name]; c != nil && c.pkg == nil {
			return nil, nil
		}
		if !slices.Contains(providers, pr.pkg.Name) {
			providers = append(providers, pr.pkg.Name)
		}
	}
	slices.Sort(providers)
	switch len(providers) {
	case 0:
		return nil, fmt.Errorf("no package of that name in %s", r.u.describe())
	case 1:
		return r.u.candidate(providers[0]), nil
	}
	return nil, fmt.Errorf("virtual: name one of those that provide it: %s", strings.Join(providers, ", "))
}

// result lists what was chosen beyond what is installed. The strings are
// copied, so that the text of the indexes can be freed.
func (r *resolver) result() []Package {
	var out []Package
	for _, c := range r.trail {
		if c.pkg == nil {
			continue
		}
		p := c.pkg.clone()
		p.Requested = r.named[p.Name]
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// clone copies a package with all its strings.
func (p *Package) clone() Package {
	out := *p
	for _, s := range []*string{
		&out.Name, &out.Version, &out.Arch, &out.Suite, &out.Path, &out.SHA256, &out.Priority,
		&out.MultiArch, &out.Source, &out.Depends, &out.PreDepends, &out.Provides,
		&out.Conflicts, &out.Breaks, &out.Replaces,
	} {
		*s = strings.Clone(*s)
	}
	return out
}

// describe names the suites, for messages.
func (u *universe) describe() string {
	var suites []string
	for _, ix := range u.indexes {
		if !slices.Contains(suites, ix.suite) {
			suites = append(suites, ix.suite)
		}
	}
	return strings.Join(suites, ", ")
}

package debian

import (
	"cmp"
	"slices"
	"strings"
)

// universe is everything that can be installed: the packages of some indexes,
// and which of them provide what.
type universe struct {
	arch    string
	indexes []*index
	// versions of each name, the candidate first: highest pin, then highest
	// version, then first in the order of the sources.
	versions map[string][]*Package
	// providers of each name that candidates provide.
	providers map[string][]provision
	// main are the suites that are nobody's updates or security.
	main map[string]bool
}

// provision is one name that a package provides, at a version or at none.
type provision struct {
	pkg     *Package
	version string
}

func newUniverse(arch string, indexes []*index, pins map[string]int) *universe {
	u := &universe{
		arch: arch, indexes: indexes, main: mainSuites(pins),
		versions: map[string][]*Package{}, providers: map[string][]provision{},
	}
	for _, ix := range indexes {
		for i := range ix.packages {
			if p := &ix.packages[i]; p.Arch == arch || p.Arch == "all" {
				u.versions[p.Name] = append(u.versions[p.Name], p)
			}
		}
	}
	for _, list := range u.versions {
		if len(list) > 1 {
			slices.SortStableFunc(list, func(a, b *Package) int {
				return cmp.Or(cmp.Compare(pins[b.Suite], pins[a.Suite]), CompareVersions(b.Version, a.Version))
			})
		}
		u.provide(list[0])
	}
	return u
}

// provide notes what a candidate provides. What cannot be parsed provides
// nothing.
func (u *universe) provide(p *Package) {
	if p.Provides == "" {
		return
	}
	groups, err := parseRelations(p.Provides)
	if err != nil {
		return
	}
	for _, g := range groups {
		u.providers[g[0].name] = append(u.providers[g[0].name], provision{p, g[0].version})
	}
}

// candidate is the version of a package that would be installed, nil when
// there is none of that name.
func (u *universe) candidate(name string) *Package {
	if list := u.versions[name]; len(list) > 0 {
		return list[0]
	}
	return nil
}

// mainSuites leaves out each suite whose name begins with another's and a
// dash, as bookworm-updates does.
func mainSuites(pins map[string]int) map[string]bool {
	main := map[string]bool{}
	for label := range pins {
		main[label] = true
		for other := range pins {
			if strings.HasPrefix(label, other+"-") {
				delete(main, label)
				break
			}
		}
	}
	return main
}

// selectMain lists the candidates of the packages of which the main suites
// have a version that meets the condition, in the order of the indexes.
func (u *universe) selectMain(condition func(*Package) bool) []*Package {
	var out []*Package
	seen := map[string]bool{}
	for _, ix := range u.indexes {
		if !u.main[ix.suite] {
			continue
		}
		for i := range ix.packages {
			p := &ix.packages[i]
			if condition(p) && !seen[p.Name] && u.candidate(p.Name) != nil {
				seen[p.Name] = true
				out = append(out, u.candidate(p.Name))
			}
		}
	}
	return out
}

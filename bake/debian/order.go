package debian

import "sort"

// wave is a set of packages that are unpacked together and configured before
// the next wave is unpacked. In a bootstrap wave nothing works yet: files are
// unpacked before the preinst scripts run.
type wave struct {
	set       []*contents
	bootstrap bool
}

// waves orders packages: in an empty tree first, together, all that is
// essential or needed by it; then the rest, such that a package comes after
// those it pre-depends on.
func waves(all []*contents, empty bool) []wave {
	sorted := append([]*contents(nil), all...)
	sort.Slice(sorted, func(i, j int) bool { return before(sorted[i], sorted[j]) })
	var out []wave
	rest := sorted
	if empty {
		core := coreOf(sorted)
		var first []*contents
		rest = nil
		for _, c := range sorted {
			if core[c] {
				first = append(first, c)
			} else {
				rest = append(rest, c)
			}
		}
		if len(first) > 0 {
			out = append(out, wave{first, true})
		}
	}
	return append(out, byPreDepends(rest)...)
}

// before puts base-passwd and base-files first: the former makes /etc/passwd,
// the latter has the modes of the top directories.
func before(a, b *contents) bool {
	rank := map[string]int{"base-passwd": -2, "base-files": -1}
	if rank[a.Name] != rank[b.Name] {
		return rank[a.Name] < rank[b.Name]
	}
	if a.Name != b.Name {
		return a.Name < b.Name
	}
	return a.Arch < b.Arch
}

// providers maps each name, real or virtual, to the packages that have it.
func providers(all []*contents) map[string][]*contents {
	by := map[string][]*contents{}
	for _, c := range all {
		by[c.Name] = append(by[c.Name], c)
		for _, name := range mentioned(c.stanza.value("Provides")) {
			by[name] = append(by[name], c)
		}
	}
	return by
}

// coreOf finds the essential packages and what they depend on.
func coreOf(all []*contents) map[*contents]bool {
	by := providers(all)
	core := map[*contents]bool{}
	var visit func(c *contents)
	visit = func(c *contents) {
		if core[c] {
			return
		}
		core[c] = true
		for _, name := range mentioned(c.stanza.value("Pre-Depends"), c.stanza.value("Depends")) {
			for _, needed := range by[name] {
				visit(needed)
			}
		}
	}
	for _, c := range all {
		if c.stanza.value("Essential") == "yes" {
			visit(c)
		}
	}
	return core
}

// byPreDepends splits packages into waves: one with a preinst script comes
// after what it pre-depends on, and every one with or after what it depends
// on. In a circle the order is by name.
func byPreDepends(all []*contents) []wave {
	by := providers(all)
	level := map[*contents]int{}
	busy := map[*contents]bool{}
	var visit func(c *contents) int
	visit = func(c *contents) int {
		if n, ok := level[c]; ok || busy[c] {
			return n
		}
		busy[c] = true
		at := 0
		for _, name := range mentioned(c.stanza.value("Depends")) {
			for _, needed := range by[name] {
				at = max(at, visit(needed))
			}
		}
		later := 0
		if c.controlData("preinst") != nil {
			later = 1
		}
		for _, name := range mentioned(c.stanza.value("Pre-Depends")) {
			for _, needed := range by[name] {
				if needed != c {
					at = max(at, visit(needed)+later)
				}
			}
		}
		busy[c] = false
		level[c] = at
		return at
	}
	var out []wave
	for _, c := range all {
		at := visit(c)
		for len(out) <= at {
			out = append(out, wave{})
		}
		out[at].set = append(out[at].set, c)
	}
	return nonEmpty(out)
}

func nonEmpty(all []wave) []wave {
	var out []wave
	for _, w := range all {
		if len(w.set) > 0 {
			out = append(out, w)
		}
	}
	return out
}

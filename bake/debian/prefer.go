package debian

import (
	"cmp"
	"slices"
)

// better orders two packages that both satisfy a relation to target, as apt's
// resolver does: the package of that name, essential ones, higher priority,
// and in the end the one that the indexes mention later.
func (r *resolver) better(target string) func(a, b *Package) int {
	return func(a, b *Package) int {
		if a.Name == b.Name {
			return 0
		}
		order := cmp.Or(
			first(a.Name == target, b.Name == target),
			first(a.Essential, b.Essential),
			cmp.Compare(priorityRank(a.Priority), priorityRank(b.Priority)),
		)
		if order != 0 {
			return order
		}
		return cmp.Or(r.mention(b.Name).compare(r.mention(a.Name)), cmp.Compare(a.Name, b.Name))
	}
}

// priorityRank orders the Priority field; unknown ones come last, as extra.
func priorityRank(priority string) int {
	if i := slices.Index([]string{"required", "important", "standard", "optional"}, priority); i >= 0 {
		return i
	}
	return 4
}

// first puts what is true before what is not.
func first(a, b bool) int {
	switch {
	case a && !b:
		return -1
	case b && !a:
		return 1
	}
	return 0
}

package bake

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// made is what a step's key was made of, kept so that the next miss can be
// explained. It holds no content and no value, only hashes and package
// versions; of secrets not even those.
type made struct {
	Parent   string            `json:"parent,omitempty"`   // name of the image below
	Digest   string            `json:"digest,omitempty"`   // of it
	Chain    []string          `json:"chain,omitempty"`    // diffIDs below, of a step that depends on them
	Below    map[string]string `json:"below,omitempty"`    // packages below, with versions
	Packages map[string]string `json:"packages,omitempty"` // of the lock
	Files    filePrints        `json:"files,omitempty"`    // names, with a print of what they are
	Places   string            `json:"places,omitempty"`   // print of where the files land
	Values   map[string]string `json:"values,omitempty"`   // what people call them, with a print
}

// maxExplained is how many files are kept for an explanation.
const maxExplained = 20_000

// keptMade is how many earlier ways of making a step are kept: who goes back
// and forth between two states is told of the nearest.
const keptMade = 3

// missError ends a plan's look at a step that would be built.
type missError struct{ reason string }

func (e *missError) Error() string { return errMiss.Error() + ": " + e.reason }

// Is makes it an errMiss.
func (e *missError) Is(target error) bool { return target == errMiss }

// reasonOf is why a step was not found.
func reasonOf(err error) string {
	if miss := (*missError)(nil); errors.As(err, &miss) {
		return miss.reason
	}
	return neverBuilt
}

// The reasons that compare nothing.
const (
	neverBuilt  = "never built on this machine"
	stepIsNew   = "this step is new in the image"
	layerIsGone = "built before, but its layer is not in the cache any more"
	unexplained = "something that it is made from changed"
)

// printOf stands for a value in an explanation's file.
func printOf(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic("bake: print: " + err.Error()) // a programming error: values are plain data
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// whyEntry names the cache entry with the ways in which a step was made.
func whyEntry(st *state, name string) string {
	return key("why", st.recipe.FullName, st.recipe.Platform(), name) + ".json"
}

// imageEntry stands for any step of an image, to tell a new step from a new image.
const imageEntry = "any step"

// of completes what a step says of its key with what lies below, if it depends
// on that.
func (m made) of(st *state) made {
	if st.parent != nil {
		m.Parent, m.Digest = st.parent.Name, string(st.parent.Digest)
	}
	if m.Chain != nil {
		m.Below = map[string]string{}
		for _, c := range st.result.Components {
			m.Below[c.Name] = c.Version
		}
	}
	if len(m.Files) > maxExplained {
		m.Values = maps.Clone(m.Values)
		if m.Values == nil {
			m.Values = map[string]string{}
		}
		m.Values["list of files"] = printOf(m.Files)
		m.Files = nil
	}
	return m
}

// explanation is why a step is not in the cache, and what to keep once it is.
type explanation struct {
	reason string
	keep   []byte // how it was made this time and before
}

// why explains in a sentence that a step is not in the cache: by what changed
// since it was last built, as far as that is known.
func (b *Builder) why(st *state, name string, now made) explanation {
	var before []made
	e := explanation{reason: neverBuilt}
	if !b.cache.load(&before, "why", whyEntry(st, name)) || len(before) == 0 {
		var any bool
		if b.cache.load(&any, "why", whyEntry(st, imageEntry)) {
			e.reason = stepIsNew
		}
		before = nil
	}
	var nearest []string
	others := []made{now}
	for i, old := range before {
		changes := now.since(old)
		if i == 0 || len(changes) < len(nearest) {
			nearest = changes
		}
		if len(changes) > 0 && len(others) < keptMade {
			others = append(others, old)
		}
	}
	switch {
	case len(before) == 0:
	case now.Values == nil: // the step did not say
		e.reason = unexplained
	case len(nearest) == 0:
		e.reason = layerIsGone
	default:
		e.reason = listed(nearest)
	}
	e.keep, _ = json.Marshal(others) // plain data
	return e
}

// noteMade keeps how a step was made. That it cannot be is no reason to fail.
func (b *Builder) noteMade(st *state, name string, e explanation) {
	entry := []string{"why", whyEntry(st, name)}
	_ = b.cache.saveBytes(seal(e.keep, entry), entry...)
	var any bool
	if !b.cache.load(&any, "why", whyEntry(st, imageEntry)) {
		_ = b.cache.save(true, "why", whyEntry(st, imageEntry))
	}
}

// since lists what differs from an earlier time, the cause before what follows
// from it.
func (m made) since(old made) []string {
	var list []string
	if m.Chain != nil && !slices.Equal(m.Chain, old.Chain) {
		list = append(list, m.below(old))
	}
	if changes := versions(old.Packages, m.Packages); len(changes) > 0 {
		list = append(list, "the lock's package list changed: "+few(changes))
	}
	list = append(list, differing(old.Values, m.Values, func(what string) (changed, added, gone string) {
		return "the " + what + " changed", "the " + what + " is new", "the " + what + " is gone"
	})...)
	list = append(list, differing(old.Files, m.Files, func(name string) (changed, added, gone string) {
		return name + " changed", name + " is new", name + " is gone"
	})...)
	if len(list) == 0 && m.Places != old.Places {
		return []string{"its files land elsewhere: folders or symlinks below changed"}
	}
	return list
}

// below says what changed below a step that depends on all of it.
func (m made) below(old made) string {
	if m.Digest == old.Digest {
		return "a step before it changed"
	}
	text := "its parent changed"
	if m.Parent != old.Parent {
		text = fmt.Sprintf("its parent is %s now, it was %s", cmp.Or(m.Parent, "nothing"), cmp.Or(old.Parent, "nothing"))
	}
	if changes := versions(old.Below, m.Below); len(changes) > 0 {
		text += " (packages: " + few(changes) + ")"
	}
	return text
}

// differing lists the names whose prints differ, changed ones first.
func differing(old, now map[string]string, say func(name string) (changed, added, gone string)) []string {
	var changes, fresh, lost []string
	for name, print := range now {
		if was, ok := old[name]; !ok {
			fresh = append(fresh, name)
		} else if print != was {
			changes = append(changes, name)
		}
	}
	for name := range old {
		if _, ok := now[name]; !ok {
			lost = append(lost, name)
		}
	}
	var list []string
	for i, names := range [][]string{changes, fresh, lost} {
		slices.Sort(names)
		for _, name := range names {
			changed, added, gone := say(name)
			list = append(list, [...]string{changed, added, gone}[i])
		}
	}
	return list
}

// versions lists packages that differ: changed, added, removed.
func versions(old, now map[string]string) []string {
	var changed, added, gone []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if was, ok := old[name]; !ok {
			added = append(added, "+"+name)
		} else if was != now[name] {
			changed = append(changed, name+" "+was+" -> "+now[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if _, ok := now[name]; !ok {
			gone = append(gone, "-"+name)
		}
	}
	return slices.Concat(changed, added, gone)
}

// fewAre is how many of a list are named.
const fewAre = 3

func few(list []string) string {
	if len(list) > fewAre+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:fewAre], ", "), len(list)-fewAre)
	}
	return strings.Join(list, ", ")
}

// listed is few, for sentences.
func listed(list []string) string {
	if len(list) > fewAre+1 {
		return fmt.Sprintf("%s, and %d more changes", strings.Join(list[:fewAre], ", "), len(list)-fewAre)
	}
	return strings.Join(list, ", ")
}

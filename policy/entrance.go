package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkEntrances refuses a user's Rego that decides nothing, which nobody would
// miss otherwise: what counts are the rules deny and allow in package kiln, and
// what these use. A package beside may have rules of these names only where
// another one refers to it.
func checkEntrances(modules map[string]*ast.Module) error {
	first, counts := "", false
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m := modules[name]
		if isTest(name) {
			continue
		}
		if first == "" {
			first = name
		}
		for _, r := range m.Rules {
			if !isEntrance(r) {
				continue
			}
			if isKiln(m) {
				counts = true
			} else if !referred(modules, name) {
				return fmt.Errorf("%s:%d: a rule %s counts only in package kiln, and this one is in %s, which nothing refers to: did you mean package kiln?",
					name, r.Loc().Row, r.Head.Name, packageName(m))
			}
		}
	}
	if counts || first == "" {
		return nil
	}
	return nothingDecides(modules, first)
}

// nothingDecides says where to write the rules that are missing; first is a
// file.
func nothingDecides(modules map[string]*ast.Module, first string) error {
	const want = "so this policy would stop nothing: did you mean deny contains reason if { … }, in package kiln?"
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if m := modules[name]; isKiln(m) && !isTest(name) && len(m.Rules) > 0 {
			return fmt.Errorf("%s:%d: no file has a rule deny or allow, %s", name, m.Rules[0].Loc().Row, want)
		}
	}
	m := modules[first]
	return fmt.Errorf("%s:%d: %s, and no file has a rule deny or allow in package kiln, %s", first, m.Package.Loc().Row, packageName(m), want)
}

func isEntrance(r *ast.Rule) bool {
	name, ok := r.Head.Ref()[0].Value.(ast.Var)
	return ok && (name == "deny" || name == "allow") && len(r.Head.Args) == 0
}

// isKiln tells whether a file is in package kiln itself.
func isKiln(m *ast.Module) bool {
	return len(m.Package.Path) == 2 && m.Package.Path[1].Value.Compare(ast.String("kiln")) == 0
}

func packageName(m *ast.Module) string {
	return "package " + strings.TrimPrefix(m.Package.Path.String(), "data.")
}

// referred tells whether a file of another package refers to that of the named
// file, or could.
func referred(modules map[string]*ast.Module, name string) bool {
	target := modules[name].Package.Path
	found := false
	for other, m := range modules {
		if isTest(other) || m.Package.Path.Equal(target) {
			continue
		}
		touches := func(r ast.Ref) bool {
			ground := r.ConstantPrefix()
			found = found || len(r) > 1 && (ground.HasPrefix(target) || target.HasPrefix(ground))
			return found
		}
		for _, i := range m.Imports {
			ast.WalkRefs(i, touches)
		}
		for _, r := range m.Rules {
			ast.WalkRefs(r, touches)
		}
	}
	return found
}

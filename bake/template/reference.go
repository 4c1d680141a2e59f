package template

import (
	"fmt"
	"sort"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// checkReferences notes names in an expression that stand for nothing, with
// the one that was probably meant; HCL's own message would not know it.
func checkReferences(s *section, expr hclsyntax.Expression) bool {
	ok := true
	for _, t := range expr.Variables() {
		if problem, hint := referenceProblem(s.ctx, t); problem != "" {
			s.add(t.SourceRange(), s.where, hint, "%s", problem)
			ok = false
		}
	}
	return ok
}

// referenceProblem follows a traversal as far as objects know their names.
func referenceProblem(ctx *hcl.EvalContext, t hcl.Traversal) (problem, hint string) {
	root := t.RootName()
	known := variables(ctx)
	v, ok := known[root]
	if !ok {
		return unknownRoot(root, known)
	}
	path := root
	for _, step := range t[1:] {
		name, isName := stepName(step)
		v, _ = v.Unmark()
		if !isName || v == cty.NilVal || !v.IsKnown() || v.IsNull() || !v.Type().IsObjectType() {
			return "", ""
		}
		if !v.Type().HasAttribute(name) {
			return fmt.Sprintf("there is no %s.%s", path, name), DidYouMean(name, attributeNames(v))
		}
		v = v.GetAttr(name)
		path += "." + name
	}
	return "", ""
}

func unknownRoot(root string, known map[string]cty.Value) (problem, hint string) {
	switch root {
	case "each":
		return "each is only there in an image with for_each", ""
	case "var", "local", "image", "git", "platform":
		return fmt.Sprintf("%s cannot be used here", root), ""
	}
	hint = fmt.Sprintf("for text write %q", root)
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Strings(names)
	if near := DidYouMean(root, names); near != "" {
		hint = near
	}
	return fmt.Sprintf("unknown name %s", root), hint
}

// variables are all that an expression in ctx can see.
func variables(ctx *hcl.EvalContext) map[string]cty.Value {
	all := map[string]cty.Value{}
	for ; ctx != nil; ctx = ctx.Parent() {
		for name, v := range ctx.Variables {
			if _, hidden := all[name]; !hidden {
				all[name] = v
			}
		}
	}
	return all
}

func stepName(step hcl.Traverser) (string, bool) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() && !step.Key.IsMarked() {
			return step.Key.AsString(), true
		}
	}
	return "", false
}

func attributeNames(v cty.Value) []string {
	names := make([]string, 0, len(v.Type().AttributeTypes()))
	for name := range v.Type().AttributeTypes() {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// uses says whether any expression below body begins with a name.
func uses(body *hclsyntax.Body, root string) bool {
	found := false
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		if t, ok := n.(*hclsyntax.ScopeTraversalExpr); ok && t.Traversal.RootName() == root {
			found = true
		}
		return nil
	})
	return found
}

package template

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// locals evaluates all locals blocks, each value after those it names, and
// makes them visible as local.
func (l *loader) locals(top *section) {
	e := &localValues{top: top, attrs: map[string]*hclsyntax.Attribute{}, values: map[string]cty.Value{}}
	var order []string
	for _, b := range top.body.Blocks {
		if b.Type != "locals" || len(b.Labels) > 0 {
			continue
		}
		for _, nested := range b.Body.Blocks {
			l.add(nested.DefRange(), "locals", "write "+nested.Type+" = { … }", "unknown block %q", nested.Type)
		}
		for _, a := range sortedAttributes(b.Body) {
			if e.attrs[a.Name] != nil {
				l.add(a.SrcRange, "locals", "", "%s is declared twice", a.Name)
				continue
			}
			e.attrs[a.Name] = a
			order = append(order, a.Name)
		}
	}
	for _, name := range order {
		e.evaluate(name, nil)
	}
	l.ctx.Variables["local"] = cty.ObjectVal(e.values)
}

type localValues struct {
	top    *section
	attrs  map[string]*hclsyntax.Attribute
	values map[string]cty.Value
}

// evaluate gives a local its value; chain are those that wait for it.
func (e *localValues) evaluate(name string, chain []string) {
	if _, done := e.values[name]; done {
		return
	}
	a := e.attrs[name]
	chain = append(chain, name)
	e.values[name] = cty.DynamicVal
	visible := map[string]cty.Value{}
	for _, t := range a.Expr.Variables() {
		if t.RootName() != "local" || len(t) < 2 {
			continue
		}
		other, ok := stepName(t[1])
		if !ok || e.attrs[other] == nil {
			continue
		}
		if at := slices.Index(chain, other); at >= 0 {
			e.top.add(a.SrcRange, "locals", "", "values need each other: %s", strings.Join(append(chain[at:], other), " -> "))
			return
		}
		e.evaluate(other, chain)
		visible[other] = e.values[other]
	}
	for other := range e.attrs {
		if _, ok := visible[other]; !ok {
			visible[other] = cty.DynamicVal
		}
	}
	ctx := e.top.ctx.NewChild()
	ctx.Variables = map[string]cty.Value{"local": cty.ObjectVal(visible)}
	s := &section{problems: e.top.problems, ctx: ctx, where: "locals", body: &hclsyntax.Body{
		Attributes: hclsyntax.Attributes{name: a}, SrcRange: a.SrcRange,
	}}
	if v, ok := s.evaluate(name, cty.DynamicPseudoType); ok || v != cty.NilVal {
		e.values[name] = v
	}
}

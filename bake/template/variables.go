package template

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// EnvPrefix begins the environment variable that sets a template's variable.
const EnvPrefix = "KILN_VAR_"

// mark is put on sensitive values and follows them through expressions.
type mark string

const sensitive mark = "sensitive"

// variables evaluates the variable blocks, by name.
func (l *loader) variables(blocks []*hclsyntax.Block) map[string]cty.Value {
	values := map[string]cty.Value{}
	var names []string
	for _, b := range blocks {
		name := b.Labels[0]
		s := (&section{problems: &l.problems, ctx: l.ctx}).child(b)
		if _, twice := values[name]; twice {
			l.add(b.DefRange(), s.where, "", "declared twice")
			continue
		}
		if !hclsyntax.ValidIdentifier(name) {
			l.add(b.DefRange(), s.where, "use letters, digits and _", "not a name")
		}
		names = append(names, name)
		values[name] = l.variable(name, s)
	}
	var given []string
	for name := range l.opts.Vars {
		given = append(given, name)
	}
	sort.Strings(given)
	for _, name := range given {
		if _, ok := values[name]; !ok {
			l.add(hcl.Range{}, "", DidYouMean(name, names), "there is no variable %q to set", name)
		}
	}
	return values
}

// variable is the value of one variable; unknown where it has none, so that
// what uses it makes no further problem.
func (l *loader) variable(name string, s *section) cty.Value {
	s.text("description")
	secret := s.boolean("sensitive")
	want, defaults := l.constraint(s)
	def, hasDefault := l.defaultValue(s, want, defaults)
	s.blocks("validation", 0)
	defer s.done()

	raw, set := l.opts.Vars[name]
	if !set && l.opts.Env != nil {
		raw = l.opts.Env(EnvPrefix + name)
		set = raw != ""
	}
	v := def
	switch {
	case set:
		if secret {
			l.hide(raw)
		}
		if want == cty.NilType {
			want = typeOfDefault(def, hasDefault)
		}
		var ok bool
		if v, ok = l.parseValue(s, raw, want, defaults); !ok {
			return cty.DynamicVal
		}
		l.given(name, raw, secret)
	case !hasDefault && !s.has("default"):
		l.add(s.body.SrcRange, s.where, fmt.Sprintf("give --var %s=… or %s%s, or a default", name, EnvPrefix, name), "has no value")
		return cty.DynamicVal
	case !hasDefault:
		return cty.DynamicVal
	}
	if secret {
		l.hideAll(v)
	}
	l.validate(name, s, v, secret)
	if secret {
		return v.Mark(sensitive)
	}
	return v
}

// given notes a variable that was set from outside, and of a sensitive one its
// name alone.
func (l *loader) given(name, raw string, secret bool) {
	if secret {
		l.recipe.Secrets = append(l.recipe.Secrets, name)
		return
	}
	if l.recipe.Variables == nil {
		l.recipe.Variables = map[string]string{}
	}
	l.recipe.Variables[name] = raw
}

// constraint is the declared type; NilType where none is.
func (l *loader) constraint(s *section) (cty.Type, *typeexpr.Defaults) {
	s.attributes = append(s.attributes, "type")
	a := s.body.Attributes["type"]
	if a == nil {
		return cty.NilType, nil
	}
	want, defaults, diags := typeexpr.TypeConstraintWithDefaults(a.Expr)
	if diags.HasErrors() {
		l.diags(s.where, diags)
		return cty.NilType, nil
	}
	return want, defaults
}

func (l *loader) defaultValue(s *section, want cty.Type, defaults *typeexpr.Defaults) (cty.Value, bool) {
	if want == cty.NilType {
		want = cty.DynamicPseudoType
	}
	s.attributes = append(s.attributes, "default")
	a := s.body.Attributes["default"]
	if a == nil || !checkReferences(s, a.Expr) {
		return cty.NilVal, false
	}
	v, diags := a.Expr.Value(s.ctx)
	if diags.HasErrors() {
		l.diags(s.where, diags)
		return cty.NilVal, false
	}
	v, err := conform(v, want, defaults)
	if err != nil {
		s.wrong("default", "", "default: %v", err)
		return cty.NilVal, false
	}
	return v, true
}

func conform(v cty.Value, want cty.Type, defaults *typeexpr.Defaults) (cty.Value, error) {
	if defaults != nil {
		v = defaults.Apply(v)
	}
	return convert.Convert(v, want)
}

// typeOfDefault is the type that a value must have when none is declared.
func typeOfDefault(def cty.Value, ok bool) cty.Type {
	if !ok || def.IsNull() || def.Type().IsPrimitiveType() {
		if ok && !def.IsNull() {
			return def.Type()
		}
		return cty.String
	}
	return cty.DynamicPseudoType
}

// parseValue reads a value from outside. Text is taken as it is, quotes,
// newlines, ${ and all; other primitive types are converted from text; for the
// rest it is an HCL expression without names or functions.
func (l *loader) parseValue(s *section, raw string, want cty.Type, defaults *typeexpr.Defaults) (cty.Value, bool) {
	v := cty.StringVal(raw)
	if !want.IsPrimitiveType() {
		expr, diags := hclsyntax.ParseExpression([]byte(raw), "value", hcl.InitialPos)
		if diags.HasErrors() || tooDeep([]byte(raw)) > 0 {
			l.add(s.body.SrcRange, s.where, `write it as in a template, as ["a", "b"] or { a = "b" }`, "the given value is no %s", typeexpr.TypeString(want))
			return cty.NilVal, false
		}
		if v, diags = expr.Value(nil); diags.HasErrors() {
			l.add(s.body.SrcRange, s.where, "", "the given value is no constant")
			return cty.NilVal, false
		}
	}
	v, err := conform(v, want, defaults)
	if err != nil {
		l.add(s.body.SrcRange, s.where, "", "the given value: %v", err)
		return cty.NilVal, false
	}
	return v, true
}

// validate holds a value against the variable's own conditions.
func (l *loader) validate(name string, s *section, v cty.Value, secret bool) {
	for _, b := range s.blocks("validation", 0) {
		c := s.child(b)
		c.ctx = s.ctx.NewChild()
		c.ctx.Variables = map[string]cty.Value{"var": cty.ObjectVal(map[string]cty.Value{name: v})}
		if c.require("condition", "error_message") {
			holds, ok := c.evaluate("condition", cty.Bool)
			message := c.text("error_message")
			if ok && holds.False() {
				if secret {
					message = "the value is not valid"
				}
				l.add(b.DefRange(), s.where, "", "%s", message)
			}
		}
		c.done()
	}
}

// hide keeps a sensitive text out of messages. Very short ones would only
// garble them.
func (l *loader) hide(text string) {
	for _, form := range []string{text, oneLine(text), strings.Trim(fmt.Sprintf("%q", text), `"`)} {
		if len(form) >= 3 {
			l.secrets = append(l.secrets, form)
		}
	}
}

func (l *loader) hideAll(v cty.Value) {
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		if v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
			l.hide(v.AsString())
		}
		return true, nil
	})
}

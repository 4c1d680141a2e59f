package trustfile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// block is a block that is being read, or the file. Asking for a name makes it
// a known one; done reports what nobody asked for.
type block struct {
	*problems
	body       *hclsyntax.Body
	eval       *hcl.EvalContext
	line       int
	where      string // how problems name it; "" for the file
	labels     []string
	attributes []string
	blockTypes []string
}

func (b *block) child(in *hclsyntax.Block) *block {
	where := in.Type
	for _, label := range in.Labels {
		where += fmt.Sprintf(" %q", label)
	}
	if b.where != "" {
		where = b.where + ": " + where
	}
	return &block{problems: b.problems, body: in.Body, eval: b.eval, line: in.TypeRange.Start.Line, where: where, labels: in.Labels}
}

func (b *block) has(name string) bool { return b.body.Attributes[name] != nil }

// wrong notes a problem with an attribute.
func (b *block) wrong(name, format string, args ...any) {
	line := b.line
	if a := b.body.Attributes[name]; a != nil {
		line = a.NameRange.Start.Line
	}
	b.add(line, b.where, "%s: %s", name, fmt.Sprintf(format, args...))
}

// value gives an attribute's value; ok is false when it is missing or wrong.
func (b *block) value(name string, want cty.Type) (v cty.Value, ok bool) {
	b.attributes = append(b.attributes, name)
	a := b.body.Attributes[name]
	if a == nil {
		return cty.NilVal, false
	}
	v, diags := a.Expr.Value(b.eval)
	if diags.HasErrors() {
		b.diags(b.where, diags)
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err == nil && (v.IsNull() || !v.IsWhollyKnown()) {
		err = errors.New("a value is required")
	}
	if err != nil {
		b.wrong(name, "%v", err)
		return cty.NilVal, false
	}
	return v, true
}

// text is a text that is not empty, "" where it is missing or wrong.
func (b *block) text(name string) string {
	v, ok := b.value(name, cty.String)
	if !ok {
		return ""
	}
	if v.AsString() == "" {
		b.wrong(name, "it is empty")
	}
	return v.AsString()
}

// texts are at least one text, none of them empty; nil where it is missing or
// wrong.
func (b *block) texts(name string) []string {
	v, ok := b.value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var list []string
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() || e.AsString() == "" {
			b.wrong(name, "an element is null or empty")
			return nil
		}
		list = append(list, e.AsString())
	}
	if len(list) == 0 {
		b.wrong(name, "the list is empty: name at least one, or leave it out")
	}
	return list
}

// date is a time; end takes the end of a day that stands for itself.
func (b *block) date(name string, end bool) *time.Time {
	text := b.text(name)
	if text == "" {
		return nil
	}
	t, err := ParseDate(text, end)
	if err != nil {
		b.wrong(name, "%v", err)
		return nil
	}
	return &t
}

// ParseDate reads a time as RFC 3339 has it, or a day, which stands for its
// beginning in UTC, or with end for its end.
func ParseDate(s string, end bool) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		if end {
			t = t.AddDate(0, 0, 1).Add(-time.Second)
		}
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q is no time: write 2026-12-31 or 2026-12-31T18:00:00Z", s)
	}
	return t.UTC(), nil
}

// blocks are the blocks of a type, each with the wanted labels.
func (b *block) blocks(typ string, labels int) []*block {
	b.blockTypes = append(b.blockTypes, typ)
	var list []*block
	for _, in := range b.body.Blocks {
		if in.Type != typ {
			continue
		}
		c := b.child(in)
		if len(in.Labels) != labels {
			want := typ + " {"
			if labels == 1 {
				want = typ + ` "HOST/NAME" {`
			}
			b.add(c.line, b.where, "%s has %d labels: write %s", typ, len(in.Labels), want)
			continue
		}
		list = append(list, c)
	}
	return list
}

// done reports attributes and blocks that nothing asked for.
func (b *block) done() {
	for name, a := range b.body.Attributes {
		if slices.Contains(b.attributes, name) {
			continue
		}
		hint := didYouMean(name, b.attributes)
		if slices.Contains(b.blockTypes, name) {
			hint = fmt.Sprintf(" (%s is a block: write %s { without =)", name, name)
		}
		b.add(a.NameRange.Start.Line, b.where, "unknown attribute %q%s", name, hint)
	}
	for _, in := range b.body.Blocks {
		if slices.Contains(b.blockTypes, in.Type) {
			continue
		}
		hint := didYouMean(in.Type, b.blockTypes)
		if slices.Contains(b.attributes, in.Type) {
			hint = fmt.Sprintf(" (%s is an attribute: write %s = …)", in.Type, in.Type)
		}
		b.add(in.TypeRange.Start.Line, b.where, "unknown block %q%s", in.Type, hint)
	}
}

package hclfile

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// Block is a block that is being read, or the file. Asking for a name makes it
// a known one; Done reports what nobody asked for.
type Block struct {
	*Problems
	Line   int      // where it begins; 0 for the file
	Where  string   // how problems name it; "" for the file
	Labels []string // what is quoted behind its type

	body       *hclsyntax.Body
	eval       *hcl.EvalContext
	attributes []string
	blockTypes []string
}

func (b *Block) child(in *hclsyntax.Block) *Block {
	where := in.Type
	for _, label := range in.Labels {
		where += fmt.Sprintf(" %q", label)
	}
	if b.Where != "" {
		where = b.Where + ": " + where
	}
	return &Block{Problems: b.Problems, body: in.Body, eval: b.eval, Line: in.TypeRange.Start.Line, Where: where, Labels: in.Labels}
}

// Has tells whether an attribute is written.
func (b *Block) Has(name string) bool { return b.body.Attributes[name] != nil }

// Written are the names of all attributes that are written, sorted.
func (b *Block) Written() []string { return slices.Sorted(maps.Keys(b.body.Attributes)) }

// Asked are the attributes that were asked for so far.
func (b *Block) Asked() []string { return b.attributes }

// At is the line of an attribute, or of the block where it is not written.
func (b *Block) At(name string) int {
	if a := b.body.Attributes[name]; a != nil {
		return a.NameRange.Start.Line
	}
	return b.Line
}

// Wrong notes a problem with an attribute.
func (b *Block) Wrong(name, format string, args ...any) {
	b.Add(b.At(name), b.Where, "%s: %s", name, fmt.Sprintf(format, args...))
}

// WrongBlock notes a problem with the block as a whole.
func (b *Block) WrongBlock(format string, args ...any) { b.Add(b.Line, b.Where, format, args...) }

// Require notes attributes that are not written.
func (b *Block) Require(names ...string) {
	for _, name := range names {
		if !b.Has(name) {
			b.WrongBlock("%s is missing", name)
		}
	}
}

// Value gives an attribute's value, known and not null; ok is false when it is
// missing or wrong.
func (b *Block) Value(name string, want cty.Type) (v cty.Value, ok bool) {
	b.attributes = append(b.attributes, name)
	a := b.body.Attributes[name]
	if a == nil {
		return cty.NilVal, false
	}
	v, diags := a.Expr.Value(b.eval)
	if diags.HasErrors() {
		b.diags(strings.TrimPrefix(b.Where+": "+name, ": "), diags)
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err == nil && (v.IsNull() || !v.IsWhollyKnown()) {
		err = errors.New("a value is required")
	}
	if err != nil {
		b.Wrong(name, "%v", err)
		return cty.NilVal, false
	}
	return v, true
}

// Text is a text; ok is false when it is missing or wrong.
func (b *Block) Text(name string) (text string, ok bool) {
	v, ok := b.Value(name, cty.String)
	if !ok {
		return "", false
	}
	return v.AsString(), true
}

// Texts are texts, none of them empty; nil where the list is missing or wrong,
// and not nil where it is an empty one.
func (b *Block) Texts(name string) []string {
	v, ok := b.Value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	list := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() || e.AsString() == "" {
			b.Wrong(name, "an element is null or empty")
			return nil
		}
		list = append(list, e.AsString())
	}
	return list
}

// Blocks are the blocks of a type, each with a label for every word of labels,
// which says to people what to write there.
func (b *Block) Blocks(typ string, labels ...string) []*Block {
	b.blockTypes = append(b.blockTypes, typ)
	var list []*Block
	for _, in := range b.body.Blocks {
		if in.Type != typ {
			continue
		}
		if len(in.Labels) != len(labels) {
			want := typ
			for _, label := range labels {
				want += fmt.Sprintf(" %q", label)
			}
			b.Add(in.TypeRange.Start.Line, b.Where, "%s has %s, want %d: write %s {", typ, counted(len(in.Labels), "label"), len(labels), want)
			continue
		}
		list = append(list, b.child(in))
	}
	return list
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Find is a block that was asked for before, with its labels; nil where it is
// not written.
func (b *Block) Find(typ string, labels ...string) *Block {
	for _, in := range b.body.Blocks {
		if in.Type == typ && slices.Equal(in.Labels, labels) {
			return b.child(in)
		}
	}
	return nil
}

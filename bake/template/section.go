package template

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// section is a block that is being read. Each accessor makes its name a known
// one; done reports what is left over. A value that is missing, null or wrong
// reads as the zero value, the last with a problem noted.
type section struct {
	*problems
	ctx        *hcl.EvalContext
	body       *hclsyntax.Body
	where      string // how problems name the block
	attributes []string
	blockTypes []string
}

func (s *section) child(b *hclsyntax.Block) *section {
	where := b.Type
	for _, l := range b.Labels {
		where += fmt.Sprintf(" %q", l)
	}
	if s.where != "" {
		where = s.where + ": " + where
	}
	return &section{problems: s.problems, ctx: s.ctx, body: b.Body, where: where}
}

// at is the range of an attribute, or the block's where it is not set.
func (s *section) at(name string) hcl.Range {
	if a := s.body.Attributes[name]; a != nil {
		return a.SrcRange
	}
	return s.body.SrcRange
}

// wrong notes a problem with an attribute.
func (s *section) wrong(name, hint, format string, args ...any) {
	s.add(s.at(name), s.where, hint, format, args...)
}

// has says whether an attribute is written, null or not.
func (s *section) has(name string) bool { return s.body.Attributes[name] != nil }

// require notes attributes that are not written.
func (s *section) require(names ...string) bool {
	ok := true
	for _, name := range names {
		if !s.has(name) {
			s.add(s.body.SrcRange, s.where, "", "%s is missing", name)
			ok = false
		}
	}
	return ok
}

// evaluate gives an attribute's value, marks and all; ok is false when it is
// missing, null, unknown or wrong.
func (s *section) evaluate(name string, want cty.Type) (cty.Value, bool) {
	s.attributes = append(s.attributes, name)
	a := s.body.Attributes[name]
	if a == nil || !checkReferences(s, a.Expr) {
		return cty.NilVal, false
	}
	v, diags := a.Expr.Value(s.ctx)
	if diags.HasErrors() {
		s.diags(s.where+": "+name, diags)
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil {
		s.wrong(name, "", "%s: %v", name, err)
		return cty.NilVal, false
	}
	return v, !v.IsNull() && v.IsWhollyKnown()
}

// value is evaluate for what ends in the image or in plain sight: a sensitive
// value is refused.
func (s *section) value(name string, want cty.Type) (cty.Value, bool) {
	v, ok := s.evaluate(name, want)
	if !ok {
		return v, false
	}
	if v.ContainsMarked() {
		s.wrong(name, "a sensitive value may only stand in the env of a run", "%s: a sensitive value would be readable here", name)
		return cty.NilVal, false
	}
	return v, true
}

func (s *section) text(name string) string {
	text, _ := s.givenText(name)
	return text
}

// givenText tells an empty text from none.
func (s *section) givenText(name string) (text string, ok bool) {
	v, ok := s.value(name, cty.String)
	if !ok {
		return "", false
	}
	if strings.ContainsRune(v.AsString(), 0) {
		s.wrong(name, "", "%s: a NUL byte", name)
		return "", false
	}
	return v.AsString(), true
}

// texts is nil when nothing is written, and not nil for an empty list.
func (s *section) texts(name string) []string {
	v, ok := s.value(name, cty.List(cty.String))
	if !ok {
		return nil
	}
	list := make([]string, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.IsNull() || strings.ContainsRune(e.AsString(), 0) {
			s.wrong(name, "", "%s: an element is null or holds a NUL byte", name)
			return nil
		}
		list = append(list, e.AsString())
	}
	return list
}

// words is texts for a command: at least one, the first not empty.
func (s *section) words(name string) []string {
	if line := s.literal(name); line != "" {
		quoted := strings.Split(fmt.Sprintf("%q", strings.Fields(line)), " ")
		s.attributes = append(s.attributes, name)
		s.wrong(name, fmt.Sprintf("write %s = %s", name, strings.Join(quoted, ", ")), "%s: want a list of words, not one text", name)
		return nil
	}
	list := s.texts(name)
	if list != nil && (len(list) == 0 || list[0] == "") {
		s.wrong(name, "", "%s is empty", name)
		return nil
	}
	return list
}

// literal is the text that an attribute is, as written; "" if it is no text.
func (s *section) literal(name string) string {
	a := s.body.Attributes[name]
	if a == nil {
		return ""
	}
	v, diags := a.Expr.Value(nil)
	if diags.HasErrors() || v.Type() != cty.String || v.IsNull() {
		return ""
	}
	return v.AsString()
}

func (s *section) textMap(name string) map[string]string {
	v, ok := s.value(name, cty.Map(cty.String))
	if !ok {
		return nil
	}
	m := make(map[string]string, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		if e.IsNull() || strings.ContainsRune(e.AsString(), 0) {
			s.wrong(name, "", "%s: the value of %q is null or holds a NUL byte", name, k.AsString())
			return nil
		}
		m[k.AsString()] = e.AsString()
	}
	return m
}

// whole is a whole number within bounds; def when nothing is written.
func (s *section) whole(name string, def, low, high int) int {
	v, ok := s.value(name, cty.Number)
	if !ok {
		return def
	}
	f, _ := v.AsBigFloat().Float64()
	if f != math.Trunc(f) || f < float64(low) || f > float64(high) {
		s.wrong(name, "", "%s: want a whole number from %d to %d", name, low, high)
		return def
	}
	return int(f)
}

func (s *section) boolean(name string) bool {
	v, ok := s.value(name, cty.Bool)
	return ok && v.True()
}

// duration reads "10s" or "1m30s"; def when nothing is written.
func (s *section) duration(name string, def time.Duration) time.Duration {
	text := s.text(name)
	if text == "" {
		return def
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > 24*time.Hour {
		s.wrong(name, `write it like "10s" or "1m30s"`, "%s: %q is no duration up to 24h", name, text)
		return def
	}
	return d
}

// blocks are the blocks of a type, each with the wanted number of labels.
func (s *section) blocks(typ string, labels int) []*hclsyntax.Block {
	s.blockTypes = append(s.blockTypes, typ)
	var list []*hclsyntax.Block
	for _, b := range s.body.Blocks {
		if b.Type != typ {
			continue
		}
		if len(b.Labels) != labels {
			hint := fmt.Sprintf("write %s {", typ)
			if labels == 1 {
				hint = fmt.Sprintf(`write %s "name" {`, typ)
			}
			s.add(b.DefRange(), s.where, hint, "%s has %d labels, want %d", typ, len(b.Labels), labels)
			continue
		}
		list = append(list, b)
	}
	return list
}

// block is the one block of a type, or nil.
func (s *section) block(typ string) *section {
	list := s.blocks(typ, 0)
	if len(list) == 0 {
		return nil
	}
	for _, b := range list[1:] {
		s.add(b.DefRange(), s.where, "", "%s stands here twice", typ)
	}
	return s.child(list[0])
}

// done reports attributes and blocks that nothing asked for.
func (s *section) done() {
	for _, a := range sortedAttributes(s.body) {
		if slices.Contains(s.attributes, a.Name) {
			continue
		}
		hint := DidYouMean(a.Name, s.attributes)
		if slices.Contains(s.blockTypes, a.Name) {
			hint = fmt.Sprintf("%s is a block: write %s { without =", a.Name, a.Name)
		}
		s.add(a.SrcRange, s.where, hint, "unknown attribute %q", a.Name)
	}
	for _, b := range s.body.Blocks {
		if slices.Contains(s.blockTypes, b.Type) {
			continue
		}
		hint := DidYouMean(b.Type, s.blockTypes)
		if slices.Contains(s.attributes, b.Type) {
			hint = fmt.Sprintf("%s is an attribute: write %s = …", b.Type, b.Type)
		}
		s.add(b.DefRange(), s.where, hint, "unknown block %q", b.Type)
	}
}

func sortedAttributes(b *hclsyntax.Body) []*hclsyntax.Attribute {
	list := make([]*hclsyntax.Attribute, 0, len(b.Attributes))
	for _, a := range b.Attributes {
		list = append(list, a)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].SrcRange.Start.Byte < list[j].SrcRange.Start.Byte })
	return list
}

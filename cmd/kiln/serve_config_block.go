package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// configProblem is one thing that is wrong with a configuration file.
type configProblem struct {
	line    int // 0 for the file as a whole
	message string
}

// configProblems collects them, so that all are told at once.
type configProblems struct {
	file string
	list []configProblem
}

func (ps *configProblems) add(line int, where, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if where != "" {
		msg = where + ": " + msg
	}
	ps.list = append(ps.list, configProblem{line, strings.Join(strings.Fields(msg), " ")})
}

// diags notes what the HCL library found.
func (ps *configProblems) diags(where string, diags hcl.Diagnostics) {
	for _, d := range diags {
		line := 0
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
		ps.add(line, where, "%s: %s", d.Summary, strings.TrimSuffix(d.Detail, "."))
	}
}

// err is one line per problem, or nil.
func (ps *configProblems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	sort.SliceStable(ps.list, func(i, j int) bool { return ps.list[i].line < ps.list[j].line })
	lines := make([]string, len(ps.list))
	for i, p := range ps.list {
		if lines[i] = fmt.Sprintf("%s:%d: %s", ps.file, p.line, p.message); p.line == 0 {
			lines[i] = ps.file + ": " + p.message
		}
	}
	return usagef("%s", strings.Join(lines, "\n"))
}

// configBlock is a block that is being read. Asking for a name makes it a known
// one; done reports what nobody asked for. What is missing or wrong reads as
// the default, the latter with a problem noted.
type configBlock struct {
	*configProblems
	body       *hclsyntax.Body
	line       int
	where      string // how problems name the block; "" for the file
	dir        string // that relative paths are relative to
	attributes []string
	blockTypes []string
}

func (b *configBlock) child(block *hclsyntax.Block) *configBlock {
	where := block.Type
	for _, label := range block.Labels {
		where += fmt.Sprintf(" %q", label)
	}
	if b.where != "" {
		where = b.where + ": " + where
	}
	return &configBlock{configProblems: b.configProblems, body: block.Body, line: block.TypeRange.Start.Line, where: where, dir: b.dir}
}

// has tells whether an attribute is written.
func (b *configBlock) has(name string) bool { return b.body.Attributes[name] != nil }

// at is the line of an attribute, or of the block where it is not written.
func (b *configBlock) at(name string) int {
	if a := b.body.Attributes[name]; a != nil {
		return a.NameRange.Start.Line
	}
	return b.line
}

// wrong notes a problem with an attribute.
func (b *configBlock) wrong(name, format string, args ...any) {
	b.add(b.at(name), b.where, "%s: %s", name, fmt.Sprintf(format, args...))
}

// require notes attributes that are not written.
func (b *configBlock) require(names ...string) {
	for _, name := range names {
		if !b.has(name) {
			b.add(b.line, b.where, "%s is missing", name)
		}
	}
}

// value gives an attribute's value; ok is false when it is missing or wrong.
func (b *configBlock) value(name string, want cty.Type) (v cty.Value, ok bool) {
	b.attributes = append(b.attributes, name)
	a := b.body.Attributes[name]
	if a == nil {
		return cty.NilVal, false
	}
	v, diags := a.Expr.Value(nil)
	if diags.HasErrors() {
		b.diags(strings.TrimPrefix(b.where+": "+name, ": "), diags)
		return cty.NilVal, false
	}
	v, err := convert.Convert(v, want)
	if err != nil || v.IsNull() || !v.IsWhollyKnown() {
		if err == nil {
			err = fmt.Errorf("a value is required")
		}
		b.wrong(name, "%v", err)
		return cty.NilVal, false
	}
	return v, true
}

// blocks are the blocks of a type, each with the wanted number of labels.
func (b *configBlock) blocks(typ string, labels int) []*configBlock {
	b.blockTypes = append(b.blockTypes, typ)
	var list []*configBlock
	for _, block := range b.body.Blocks {
		if block.Type != typ {
			continue
		}
		if len(block.Labels) != labels {
			want := typ + " {"
			if labels == 1 {
				want = typ + ` "name" {`
			}
			b.add(block.TypeRange.Start.Line, b.where, "%s has %d labels: write %s", typ, len(block.Labels), want)
			continue
		}
		c := b.child(block)
		if slices.ContainsFunc(list, func(other *configBlock) bool { return labels > 0 && other.where == c.where }) {
			b.add(c.line, c.where, "stands here twice")
			continue
		}
		list = append(list, c)
	}
	return list
}

// block is the one block of a type, or nil.
func (b *configBlock) block(typ string) *configBlock {
	list := b.blocks(typ, 0)
	if len(list) == 0 {
		return nil
	}
	for _, again := range list[1:] {
		b.add(again.line, again.where, "stands here twice")
	}
	return list[0]
}

// label is the name that a block is given.
func (b *configBlock) label() string {
	_, quoted, _ := strings.Cut(b.where[strings.LastIndex(b.where, ": ")+1:], `"`)
	return strings.TrimSuffix(quoted, `"`)
}

// done reports attributes and blocks that nothing asked for.
func (b *configBlock) done() {
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
	for _, block := range b.body.Blocks {
		if slices.Contains(b.blockTypes, block.Type) {
			continue
		}
		hint := didYouMean(block.Type, b.blockTypes)
		if slices.Contains(b.attributes, block.Type) {
			hint = fmt.Sprintf(" (%s is an attribute: write %s = …)", block.Type, block.Type)
		}
		b.add(block.TypeRange.Start.Line, b.where, "unknown block %q%s", block.Type, hint)
	}
}

// didYouMean is a hint with the known name nearest to one that is not known.
func didYouMean(name string, known []string) string {
	best, distance := "", 1+max(1, len(name)/3)
	for _, k := range known {
		if d := levenshtein.Distance(name, k, nil); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

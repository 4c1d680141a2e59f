package hclfile

import (
	"fmt"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxProblems bounds how many problems of a file are told.
const maxProblems = 50

// Problems collects what is wrong with a file. The zero value is one without a
// name.
type Problems struct {
	File string // for people
	list []problem
}

type problem struct {
	line int // 0 for the file as a whole
	text string
}

// Add notes a problem at a line, 0 for the file as a whole, about a block, "" for
// none.
func (ps *Problems) Add(line int, where, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if where != "" {
		text = where + ": " + text
	}
	ps.list = append(ps.list, problem{line, strings.Join(strings.Fields(text), " ")})
}

// Len is how many were noted.
func (ps *Problems) Len() int { return len(ps.list) }

// Report is a line for each problem, in the order of the file's lines, such as
// `serve.hcl:7: tls: key is missing`; "" where there is none.
func (ps *Problems) Report() string {
	sort.SliceStable(ps.list, func(i, j int) bool { return ps.list[i].line < ps.list[j].line })
	var lines []string
	for _, p := range ps.list[:min(len(ps.list), maxProblems)] {
		at := ps.File
		if p.line > 0 {
			at = fmt.Sprintf("%s:%d", ps.File, p.line)
		}
		lines = append(lines, at+": "+p.text)
	}
	if more := len(ps.list) - maxProblems; more > 0 {
		lines = append(lines, fmt.Sprintf("%s: problems that are not told: %d", ps.File, more))
	}
	return strings.Join(lines, "\n")
}

// Parse reads a file, whose expressions may call and name what eval has; nil for
// none. It is nil where the syntax is wrong, which is noted.
func (ps *Problems) Parse(src []byte, eval *hcl.EvalContext) *Block {
	file, diags := hclsyntax.ParseConfig(src, ps.File, hcl.InitialPos)
	if diags.HasErrors() {
		ps.diags("", diags)
		return nil
	}
	return &Block{Problems: ps, body: file.Body.(*hclsyntax.Body), eval: eval}
}

// diags notes what the HCL library found.
func (ps *Problems) diags(where string, diags hcl.Diagnostics) {
	for _, d := range diags {
		line := 0
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
		ps.Add(line, where, "%s: %s", d.Summary, strings.TrimSuffix(d.Detail, "."))
	}
}

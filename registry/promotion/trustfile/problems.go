package trustfile

import (
	"fmt"
	"sort"
	"strings"

	"kiln/registry/promotion"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// maxProblems bounds how many problems of a file are told.
const maxProblems = 50

// problems collects what is wrong with a file, so that all is told at once.
type problems struct {
	file string
	list []problem
}

type problem struct {
	line int // 0 for the file as a whole
	text string
}

func (ps *problems) add(line int, where, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if where != "" {
		text = where + ": " + text
	}
	ps.list = append(ps.list, problem{line, strings.Join(strings.Fields(text), " ")})
}

// diags notes what the HCL library found.
func (ps *problems) diags(where string, diags hcl.Diagnostics) {
	for _, d := range diags {
		line := 0
		if d.Subject != nil {
			line = d.Subject.Start.Line
		}
		ps.add(line, where, "%s: %s", d.Summary, strings.TrimSuffix(d.Detail, "."))
	}
}

// err is one line for each problem, KindInvalid; nil without any.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	sort.SliceStable(ps.list, func(i, j int) bool { return ps.list[i].line < ps.list[j].line })
	var lines []string
	for _, p := range ps.list[:min(len(ps.list), maxProblems)] {
		if p.line == 0 {
			lines = append(lines, ps.file+": "+p.text)
			continue
		}
		lines = append(lines, fmt.Sprintf("%s:%d: %s", ps.file, p.line, p.text))
	}
	return &promotion.Error{Kind: promotion.KindInvalid, Message: strings.Join(lines, "\n")}
}

// didYouMean is a hint with the known name nearest to one that is not known.
func didYouMean(name string, known []string) string {
	best, distance := "", 1+max(2, len(name)/3)
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

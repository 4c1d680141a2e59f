package template

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
)

// maxProblems bounds what one Load reports.
const maxProblems = 20

// Problem is one thing that is wrong with a template.
type Problem struct {
	Pos     Pos
	Message string // lower case; begins with the block it is about
	Hint    string // what to do; may be empty
}

func (p Problem) String() string {
	s := p.Message
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	if p.Pos.File == "" {
		return s
	}
	if p.Pos.Line == 0 {
		return p.Pos.File + ": " + s
	}
	return p.Pos.String() + ": " + s
}

// Error is what Load returns for a bad template: at least one problem, in
// the order of their lines.
type Error struct{ Problems []Problem }

// Error is one line per problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Options tells whether nothing but the [Options] is wrong: they set a variable
// that the template does not have.
func (e *Error) Options() bool {
	for _, p := range e.Problems {
		if p.Pos.Line != 0 || !strings.HasPrefix(p.Message, "there is no variable ") {
			return false
		}
	}
	return len(e.Problems) > 0
}

// problems collects what is wrong while a template is read.
type problems struct {
	file    string
	list    []Problem
	secrets []string // sensitive values, which no message may hold
}

// add notes a problem at a range, about a block ("" for none).
func (ps *problems) add(rng hcl.Range, where, hint, format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if where != "" {
		msg = where + ": " + msg
	}
	ps.list = append(ps.list, Problem{
		Pos:     Pos{File: ps.file, Line: rng.Start.Line},
		Message: ps.scrub(oneLine(msg)),
		Hint:    ps.scrub(oneLine(hint)),
	})
}

// diags notes what the HCL library found.
func (ps *problems) diags(where string, diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		var rng hcl.Range
		if d.Subject != nil {
			rng = *d.Subject
		}
		msg := lowerFirst(strings.TrimSuffix(d.Summary, "."))
		if d.Detail != "" {
			msg += ": " + lowerFirst(strings.TrimSuffix(strings.TrimSpace(d.Detail), "."))
		}
		ps.add(rng, where, clockHint(d.Detail), "%s", msg)
	}
}

// err is the collected problems as an error, nil when there are none.
func (ps *problems) err() error {
	if len(ps.list) == 0 {
		return nil
	}
	sort.SliceStable(ps.list, func(i, j int) bool { return ps.list[i].Pos.Line < ps.list[j].Pos.Line })
	list := distinct(ps.list)
	if len(list) > maxProblems {
		rest := Problem{Pos: Pos{File: ps.file}, Message: fmt.Sprintf("%d more problems", len(list)-maxProblems)}
		list = append(list[:maxProblems:maxProblems], rest)
	}
	return &Error{Problems: list}
}

// distinct drops what was found again in the image of another platform.
func distinct(sorted []Problem) []Problem {
	var list []Problem
	seen := map[Problem]bool{}
	for _, p := range sorted {
		if !seen[p] {
			list = append(list, p)
		}
		seen[p] = true
	}
	return list
}

func (ps *problems) scrub(s string) string {
	for _, secret := range ps.secrets {
		s = strings.ReplaceAll(s, secret, "(sensitive)")
	}
	return s
}

// oneLine makes a text safe for a line of a terminal.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

func lowerFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if next, _ := utf8.DecodeRuneInString(s[n:]); unicode.IsUpper(next) {
		return s
	}
	return string(unicode.ToLower(r)) + s[n:]
}

// DidYouMean is a hint with the known name nearest to one that is not known; ""
// where none is near.
func DidYouMean(name string, known []string) string {
	best, distance := "", 1+max(1, len(name)/3)
	for _, k := range known {
		d := levenshtein.Distance(name, k, nil)
		if d > 1 && letters(name) == letters(k) {
			d = 1 // in another order: one slip
		}
		if d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// letters of a name, sorted.
func letters(name string) string {
	list := []rune(name)
	slices.Sort(list)
	return string(list)
}

// clockHint explains why functions that other tools have are missing here.
func clockHint(detail string) string {
	for _, name := range []string{"timestamp", "uuidv4", "uuid", "env", "legacy_isotime", "isotime"} {
		if strings.Contains(detail, fmt.Sprintf("no function named %q", name)) {
			return "the same template must give the same image: pass such a value as a variable"
		}
	}
	return ""
}

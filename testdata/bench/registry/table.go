package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// unit is what a row counts, and which way is better.
type unit struct {
	name   string
	format string
	less   bool // is better
}

var (
	seconds   = unit{"s", "%.2f", true}
	perSecond = unit{"/s", "%.0f", false}
	mebibytes = unit{"MiB", "%.0f", true}
)

// of is the measure of so many done in that time.
func (u unit) of(done int, took time.Duration) float64 {
	if u == perSecond {
		return float64(done) / took.Seconds()
	}
	return took.Seconds()
}

// row is a line of the table.
type row struct {
	name string
	unit unit
}

// table collects measures: those of one row and one program are rounds.
type table struct {
	only  *regexp.Regexp
	rows  []row
	cells map[row]map[string][]float64
}

func newTable(only *regexp.Regexp) *table {
	return &table{only: only, cells: map[row]map[string][]float64{}}
}

func (t *table) wants(r row) bool { return t.only.MatchString(r.name) }

func (t *table) add(r row, name string, value float64) {
	if t.cells[r] == nil {
		t.rows = append(t.rows, r)
		t.cells[r] = map[string][]float64{}
	}
	t.cells[r][name] = append(t.cells[r][name], value)
	fmt.Fprintf(os.Stderr, "  %-60s %-13s "+r.unit.format+" %s\n", r.name, name, value, r.unit.name)
}

// median of the rounds, or not a number.
func (t *table) median(r row, name string) (float64, bool) {
	values := slices.Clone(t.cells[r][name])
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	return values[len(values)/2], true
}

// markdown has a line for each row; the ratios say how many times better kiln
// is than the other.
func (t *table) markdown() string {
	var b strings.Builder
	b.WriteString("| | kiln | distribution | nginx | plain write | better than distribution | beside the limit |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range t.rows {
		b.WriteString("| " + r.name)
		for _, name := range []string{kiln, distribution, nginx, plain} {
			b.WriteString(" | " + t.cell(r, name))
		}
		b.WriteString(" | " + t.ratio(r, distribution, r.unit.less))
		limit := t.ratio(r, nginx, false)
		if limit == "" {
			limit = t.ratio(r, plain, false)
		}
		b.WriteString(" | " + limit + " |\n")
	}
	return b.String()
}

func (t *table) cell(r row, name string) string {
	v, ok := t.median(r, name)
	if !ok {
		return ""
	}
	return fmt.Sprintf(r.unit.format+" %s", v, r.unit.name)
}

// ratio is kiln's measure by that of name, or the inverse.
func (t *table) ratio(r row, name string, inverse bool) string {
	ours, _ := t.median(r, kiln)
	theirs, ok := t.median(r, name)
	if !ok || ours == 0 || theirs == 0 {
		return ""
	}
	if inverse {
		ours, theirs = theirs, ours
	}
	return fmt.Sprintf("%.2fx", ours/theirs)
}

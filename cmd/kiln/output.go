package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/go-digest"
)

// printJSON writes one object to stdout.
func (a *app) printJSON(v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", data)
	return err
}

// printTable writes rows to stdout, aligned; the first is the head. The cells
// are made printable.
func (a *app) printTable(rows [][]string) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = cell(row[i])
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

// counted is a number with a noun, whose plural takes an s.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// shortDigest is what a table shows: enough to tell digests apart, and those who
// are known by a name whole.
func shortDigest(d string) string {
	parsed, err := digest.Parse(d)
	if err != nil {
		return d
	}
	return parsed.Algorithm().String() + ":" + parsed.Encoded()[:12]
}

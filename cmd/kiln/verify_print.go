package main

import (
	"fmt"
	"io"
	"strings"

	"kiln/bake"
)

// maxShown is how many files of a layer are shown for people.
const maxShown = 50

// printRebuilt says whether a rebuilt version is the same, and what is not.
func (a *app) printRebuilt(r rebuiltReport) error {
	w := &failingWriter{w: a.out}
	outcome := "identical"
	if !r.Identical {
		outcome = "different, " + string(r.Digest)
	}
	fmt.Fprintf(w, "  rebuilt: %s (commit %s, %s)\n", outcome, r.Commit, shown(r.Template))
	if r.Parent != "" {
		fmt.Fprintf(w, "  on %s, which was taken as it is: kiln verify --rebuild checks it, too\n", shown(r.Parent))
	}
	for _, img := range r.Images {
		fmt.Fprintf(w, "  %s: stored %s, rebuilt %s\n", img.Platform, img.Stored, img.Rebuilt)
		for _, s := range img.Config {
			printSetting(w, s)
		}
		for _, l := range img.Layers {
			printLayerDifference(w, l)
		}
	}
	return w.err
}

func printLayerDifference(w io.Writer, l bake.LayerDifference) {
	fmt.Fprintf(w, "  layer %d (%s): stored %s, rebuilt %s\n", l.Number, shown(oneLine(l.Step)),
		firstOf(string(l.Before), "none"), firstOf(string(l.After), "none"))
	switch {
	case l.Packed:
		fmt.Fprintln(w, "    the same entries, packed otherwise: another form of archive, or another compressor")
	case l.Reordered:
		fmt.Fprintln(w, "    the same names, in another order")
	}
	for i, d := range l.Files {
		if i == maxShown {
			fmt.Fprintf(w, "    … and %d more (--json lists more)\n", l.Count-maxShown)
			break
		}
		printDifference(w, "    ", d)
		for line := range strings.Lines(l.Contents[d.Path]) {
			fmt.Fprintf(w, "        %s\n", shown(strings.ReplaceAll(strings.TrimRight(line, "\r\n"), "\t", "    ")))
		}
	}
}

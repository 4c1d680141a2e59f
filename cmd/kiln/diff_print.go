package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"

	"kiln/layers"
)

// maxUnasked is how many files are listed one by one without --files.
const maxUnasked = 30

// printDiff writes the report for people.
func (a *app) printDiff(r diffReport, list []layers.Difference, all bool) error {
	w := &failingWriter{w: a.out}
	fmt.Fprintf(w, "- %s@%s\n+ %s@%s\n", r.Before.Image, r.Before.Digest, r.After.Image, r.After.Digest)
	if r.Identical {
		fmt.Fprintln(w, "the same image")
		return w.err
	}
	fmt.Fprintf(w, "size      %s -> %s (%s), files %s -> %s (%s)\n",
		bytesText(r.Before.Compressed), bytesText(r.After.Compressed), moreText(r.After.Compressed-r.Before.Compressed),
		bytesText(r.Before.Uncompressed), bytesText(r.After.Uncompressed), moreText(r.After.Uncompressed-r.Before.Uncompressed))
	fmt.Fprintf(w, "layers    %d -> %d, %d shared (%s)\n", r.Before.Layers, r.After.Layers, r.Shared.Layers, bytesText(r.Shared.Compressed))
	printPackages(w, r.Packages)
	fmt.Fprintf(w, "config    %s\n", differText(len(r.Config)))
	for _, s := range r.Config {
		printSetting(w, s)
	}
	f := r.Files
	fmt.Fprintf(w, "files     %d added, %d removed, %d changed\n", f.Added, f.Removed, f.Changed)
	if !all && len(list) > maxUnasked {
		for _, folder := range f.Folders {
			fmt.Fprintf(w, "  %-40s %6d added %6d removed %6d changed\n", shown(folder.Path), folder.Added, folder.Removed, folder.Changed)
		}
		a.say("--files lists every file")
		return w.err
	}
	for _, d := range list {
		printDifference(w, "  ", d)
	}
	return w.err
}

func printPackages(w io.Writer, p diffPackages) {
	fmt.Fprintf(w, "packages  %d added, %d removed, %d changed\n", len(p.Added), len(p.Removed), len(p.Changed))
	for _, c := range p.Added {
		fmt.Fprintf(w, "  + %s\n", shown(c.Name+":"+c.Arch+" "+c.After))
	}
	for _, c := range p.Removed {
		fmt.Fprintf(w, "  - %s\n", shown(c.Name+":"+c.Arch+" "+c.Before))
	}
	for _, c := range p.Changed {
		fmt.Fprintf(w, "  ~ %s\n", shown(c.Name+":"+c.Arch+" "+c.Before+" -> "+c.After))
	}
}

func printSetting(w io.Writer, s diffSetting) {
	switch {
	case s.Before == nil:
		fmt.Fprintf(w, "  + %s %s\n", shown(s.Name), shown(*s.After))
	case s.After == nil:
		fmt.Fprintf(w, "  - %s %s\n", shown(s.Name), shown(*s.Before))
	default:
		fmt.Fprintf(w, "  ~ %s %s -> %s\n", shown(s.Name), shown(*s.Before), shown(*s.After))
	}
}

// printDifference writes a path and what differs of it, from and to.
func printDifference(w io.Writer, indent string, d layers.Difference) {
	path := shown("/" + d.Path)
	switch d.Change {
	case layers.Added:
		fmt.Fprintf(w, "%s+ %s %s\n", indent, path, stateText(*d.After))
		return
	case layers.Removed:
		fmt.Fprintf(w, "%s- %s %s\n", indent, path, stateText(*d.Before))
		return
	}
	var what []string
	for _, name := range d.What {
		what = append(what, name+valuesText(name, *d.Before, *d.After))
	}
	fmt.Fprintf(w, "%s~ %s %s\n", indent, path, strings.Join(what, ", "))
}

// stateText is a state in short.
func stateText(s layers.FileState) string {
	text := s.Type + " " + s.Mode + " " + s.Owner
	if s.Type == "file" {
		text += " " + bytesText(s.Size)
	}
	if s.Link != "" {
		text += " -> " + shown(s.Link)
	}
	return text
}

// valuesText is what a part of a state was and is.
func valuesText(what string, b, a layers.FileState) string {
	from, to := "", ""
	switch what {
	case "type":
		from, to = b.Type, a.Type
	case "mode":
		from, to = b.Mode, a.Mode
	case "owner":
		from, to = b.Owner, a.Owner
	case "size":
		from, to = strconv.FormatInt(b.Size, 10), strconv.FormatInt(a.Size, 10)
	case "link":
		from, to = firstOf(b.Link, "none"), firstOf(a.Link, "none")
	case "time":
		from, to = b.Time, a.Time
	case "device":
		from, to = b.Device, a.Device
	case "attributes":
		from, to = fmt.Sprint(b.Attributes), fmt.Sprint(a.Attributes)
	default:
		return ""
	}
	return " " + shown(from) + " -> " + shown(to)
}

// shown is text as it is, or quoted where it would not be seen as it is: what
// images say is not to move a terminal's cursor.
func shown(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

func moreText(n int64) string {
	if n < 0 {
		return "-" + bytesText(-n)
	}
	return "+" + bytesText(n)
}

func differText(n int) string {
	switch n {
	case 0:
		return "the same"
	case 1:
		return "1 setting differs"
	}
	return fmt.Sprintf("%d settings differ", n)
}

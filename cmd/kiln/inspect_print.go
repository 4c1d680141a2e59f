package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// printInspect writes the report for people.
func (a *app) printInspect(r inspectReport) error {
	w := &failingWriter{w: a.out}
	fmt.Fprintf(w, "%s@%s\n", r.Image, r.Digest)
	line := func(name, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); text != "" {
			fmt.Fprintf(w, "  %-10s %s\n", name, shown(text))
		}
	}
	printStanding(r, line)
	for _, p := range r.Platforms {
		line("image", "%s  %s", p.Platform, p.Digest)
	}
	for i, p := range r.Parents {
		line([]string{"from", ""}[min(i, 1)], "%s", parentLine(p))
	}
	printApprovals(r, line)
	printEvidence(r, line)
	printConfig(r.Config, line)
	printLayers(w, r.Layers)
	if r.Platforms != nil {
		a.say("it is an index: --platform OS/ARCH looks into one of its images")
	}
	return w.err
}

func printStanding(r inspectReport, line func(string, string, ...any)) {
	if r.Revoked {
		line("revoked", "yes, it is not to be used: %s", r.Because)
	} else if r.From != nil {
		line("revoked", "to be revoked at %s: %s", r.From.UTC().Format(time.RFC3339), r.Because)
	}
	line("tags", "%s", strings.Join(r.Tags, " "))
	line("channels", "%s", strings.Join(r.Channels, " "))
	line("tier", "%s", r.Tier)
	line("platform", "%s", r.Platform)
	line("type", "%s", r.MediaType)
	if r.Created != nil {
		line("created", "%s", r.Created.UTC().Format(time.RFC3339))
	}
	if r.Baked != nil {
		line("baked", "%s from commit %s", r.Baked.UTC().Format(time.RFC3339), firstOf(r.Revision, "unknown"))
	}
	size := bytesText(r.Size.Compressed)
	if r.Size.Uncompressed != nil {
		size += ", files " + bytesText(*r.Size.Uncompressed)
	}
	line("size", "%s", size)
}

func parentLine(p inspectParent) string {
	text := fmt.Sprintf("%s@%s", p.Image, p.Digest)
	if p.Stored {
		return text + ", " + counted(p.Layers, "layer")
	}
	return text + " (not there)"
}

func printEvidence(r inspectReport, line func(string, string, ...any)) {
	with := map[string]string{"keys": "by --key", "trust": "by a key of the store's trust", "": "unverified"}[r.Evidence.CheckedWith]
	verdict := func(verified bool) string {
		if verified {
			return "verified " + with
		}
		return "not verified"
	}
	for _, s := range r.Evidence.Signatures {
		line("signature", "%s %s (%s)", s.Layout, firstOf(s.Key, "by an unknown key"), verdict(s.Verified))
	}
	for _, at := range r.Evidence.Attestations {
		says := ""
		if at.Says != "" {
			says = ": " + at.Says
		}
		line("attested", "%s (%s)%s", at.PredicateType, verdict(at.Verified), says)
	}
	if len(r.Evidence.Signatures)+len(r.Evidence.Attestations) == 0 {
		line("evidence", "none")
	}
	s := r.Scan
	if s == nil {
		return
	}
	outcome := "no secret found"
	if s.Found > 0 {
		outcome = counted(s.Found, "secret") + " found"
	}
	line("scan", "%s in %s of text, %d allowed, %d not looked into", outcome, counted(s.Files, "file"), s.Allowed, s.Unread)
	e := s.Exposed
	user := "another user"
	if e.Root {
		user = "root"
	}
	line("exposed", "%d setuid, %d setgid, %d world-writable, %d with capabilities; ports %s; runs as %s",
		len(e.Setuid), len(e.Setgid), len(e.Writable), len(e.Capabilities), firstOf(strings.Join(e.Ports, " "), "none"), user)
}

func printConfig(c *inspectConfig, line func(string, string, ...any)) {
	if c == nil {
		return
	}
	line("user", "%s", c.User)
	line("workdir", "%s", c.Workdir)
	if c.Entrypoint != nil {
		line("entrypoint", "%q", c.Entrypoint)
	}
	if c.Cmd != nil {
		line("cmd", "%q", c.Cmd)
	}
	for _, e := range c.Env {
		line("env", "%s", oneLine(e))
	}
	line("ports", "%s", strings.Join(c.Ports, " "))
	line("volumes", "%s", strings.Join(c.Volumes, " "))
	for _, k := range slices.Sorted(maps.Keys(c.Labels)) {
		line("label", "%s=%s", k, oneLine(c.Labels[k]))
	}
	line("stop", "%s", c.StopSignal)
	if c.Healthcheck != nil {
		line("health", "%q", c.Healthcheck.Test)
	}
}

func printLayers(w io.Writer, list []inspectLayer) {
	for i, l := range list {
		files := "?"
		if l.Files != nil {
			files = counted(*l.Files, "file") + ", " + bytesText(*l.Unpacked)
		}
		fmt.Fprintf(w, "  layer %-2d   %s %9s  %s\n", i+1, shortDigest(string(l.Digest)), bytesText(l.Size), files)
		fmt.Fprintf(w, "             %s: %s\n", shown(firstOf(l.Image, "a parent")), shown(oneLine(l.Step)))
		for _, f := range l.Entries {
			link := ""
			if f.Link != "" {
				link = " -> " + f.Link
			}
			fmt.Fprintf(w, "    %-9s %4s %11s %10d  %s\n", f.Type, f.Mode, f.Owner, f.Size, shown("/"+f.Path+link))
		}
	}
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// failingWriter keeps the first error of many small writes.
type failingWriter struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (f *failingWriter) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.w.Write(p)
	f.err = err
	return n, err
}

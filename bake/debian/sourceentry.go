package debian

import (
	"fmt"
	"slices"
	"strings"
)

// sourceEntry is one suite at one URI of an apt source file.
type sourceEntry struct {
	Source
	origin   string   // the file
	archs    []string // empty means all
	signedBy []string // key files, fingerprints or armoured keys; empty means apt's default
}

// fits says whether the entry is for an architecture.
func (e sourceEntry) fits(arch string) bool {
	return len(e.archs) == 0 || slices.Contains(e.archs, arch)
}

// parseSources reads a deb822 source file (sources.list(5)): the entries that
// are enabled and list binary packages.
func parseSources(text string) ([]sourceEntry, error) {
	stanzas, err := readParagraphs(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	var out []sourceEntry
	for _, s := range stanzas {
		if !s.yes("Enabled", true) || !slices.Contains(s.words("Types"), "deb") {
			continue
		}
		e := sourceEntry{archs: s.words("Architectures"), signedBy: signedBy(s)}
		e.Components = s.words("Components")
		e.IgnoreValidUntil = !s.yes("Check-Valid-Until", true)
		out = append(out, expand(e, s.words("URIs"), s.words("Suites"))...)
	}
	return out, nil
}

func signedBy(s *paragraph) []string {
	if text := s.text("Signed-By"); strings.Contains(text, armorStart) {
		return []string{strings.TrimSpace(text) + "\n"}
	}
	return keyNames(s.value("Signed-By"))
}

// keyNames splits a list of key files and fingerprints at blanks and commas.
func keyNames(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n,", r) })
}

// expand makes an entry for each suite at each URI. Suites that are exact
// paths (flat archives) are left out.
func expand(e sourceEntry, uris, suites []string) []sourceEntry {
	var out []sourceEntry
	for _, uri := range uris {
		for _, suite := range suites {
			if strings.HasSuffix(suite, "/") {
				continue
			}
			one := e
			one.Mirror, one.Suite, one.Components = uri, suite, slices.Clone(e.Components)
			out = append(out, one)
		}
	}
	return out
}

// parseSourcesList reads a one-line source file (sources.list(5)):
//
//	deb [ option=value,value … ] uri suite component …
func parseSourcesList(text string) ([]sourceEntry, error) {
	var out []sourceEntry
	number := 0
	for line := range strings.SplitSeq(text, "\n") {
		number++
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "deb" {
			continue // deb-src, or nothing
		}
		var e sourceEntry
		rest = strings.TrimSpace(rest)
		if after, ok := strings.CutPrefix(rest, "["); ok {
			options, after, closed := strings.Cut(after, "]")
			if !closed {
				return nil, fmt.Errorf("line %d: options without a closing bracket", number)
			}
			e.setOptions(options)
			rest = after
		}
		words := strings.Fields(rest)
		if len(words) < 2 {
			return nil, fmt.Errorf("line %d: uri and suite expected", number)
		}
		e.Components = words[2:]
		out = append(out, expand(e, words[:1], words[1:2])...)
	}
	return out, nil
}

func (e *sourceEntry) setOptions(options string) {
	for _, option := range strings.Fields(options) {
		name, value, _ := strings.Cut(option, "=")
		switch strings.ToLower(name) {
		case "arch":
			e.archs = strings.Split(value, ",")
		case "signed-by":
			e.signedBy = keyNames(value)
		case "check-valid-until":
			e.IgnoreValidUntil = !isYes(value)
		}
	}
}

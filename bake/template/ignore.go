package template

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// IgnoreFileName is the file in the template's folder that keeps files out of
// every copy.
const IgnoreFileName = ".kilnignore"

// maxIgnore bounds an ignore file, in bytes.
const maxIgnore = 1 << 20

// patterns decide what is left out, as a .gitignore does: one without a slash
// matches at any depth, one that ends in a slash matches folders only, "**"
// spans folders, "!" takes back, and the last match counts. What lies in a
// folder that is left out is left out with it.
type patterns []pattern

type pattern struct {
	glob    string
	keep    bool // "!"
	folders bool
}

// parsePatterns reads patterns, one per line; empty lines and those that begin
// with # are skipped.
func parsePatterns(lines []string) (patterns, error) {
	var list patterns
	for _, line := range lines {
		p, glob := pattern{}, strings.TrimRight(line, " \t\r")
		if glob == "" || strings.HasPrefix(glob, "#") {
			continue
		}
		if rest, ok := strings.CutPrefix(glob, "!"); ok {
			p.keep, glob = true, rest
		}
		glob = strings.TrimPrefix(glob, `\`)
		if rest, ok := strings.CutSuffix(glob, "/"); ok {
			p.folders, glob = true, rest
		}
		anchored := strings.Contains(glob, "/")
		glob = strings.TrimPrefix(strings.TrimPrefix(glob, "./"), "/")
		if !anchored {
			glob = "**/" + glob
		}
		if glob == "" || !doublestar.ValidatePattern(glob) {
			return nil, fmt.Errorf("%q is no pattern", line)
		}
		p.glob = glob
		list = append(list, p)
	}
	return list, nil
}

// match says whether a path, relative and slash-separated, is left out.
func (list patterns) match(rel string, folder bool) bool {
	out := false
	for _, p := range list {
		if p.folders && !folder {
			continue
		}
		if doublestar.MatchUnvalidated(p.glob, rel) {
			out = !p.keep
		}
	}
	return out
}

// ignored are the patterns of the .kilnignore of a folder; none without one.
func ignored(root *os.Root) (patterns, error) {
	data, err := root.ReadFile(IgnoreFileName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", IgnoreFileName, err)
	}
	if len(data) > maxIgnore {
		return nil, fmt.Errorf("read %s: more than %d bytes", IgnoreFileName, maxIgnore)
	}
	list, err := parsePatterns(strings.Split(string(data), "\n"))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", IgnoreFileName, err)
	}
	return list, nil
}

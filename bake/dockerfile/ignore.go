package dockerfile

import (
	"bytes"
	"path"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Ignore decides which files of a context are left out, as BuildKit reads a
// .dockerignore or the patterns of --exclude. The zero Ignore leaves out none.
type Ignore struct {
	matcher *patternmatcher.PatternMatcher
	seen    map[string]patternmatcher.MatchInfo // of folders
}

// ParseIgnore reads the text of an ignore file; name is what errors call it.
func ParseIgnore(name string, data []byte) (*Ignore, error) {
	f := &File{name: name}
	if len(data) > MaxSize {
		return nil, f.wrong(0, "", "more than %d bytes", MaxSize)
	}
	list, err := ignorefile.ReadAll(bytes.NewReader(data))
	if err != nil {
		return nil, f.wrong(0, "", "%v", err)
	}
	ig, err := NewIgnore(list)
	if err != nil {
		return nil, f.wrong(0, "", "%v", err)
	}
	return ig, nil
}

// NewIgnore takes patterns as they stand in an ignore file.
func NewIgnore(list []string) (*Ignore, error) {
	if len(list) == 0 {
		return &Ignore{}, nil
	}
	m, err := patternmatcher.New(list)
	if err != nil {
		return nil, err
	}
	return &Ignore{matcher: m, seen: map[string]patternmatcher.MatchInfo{}}, nil
}

// Out says whether a path, relative and slash-separated, is left out. A
// folder is asked about before what it holds.
func (ig *Ignore) Out(rel string, folder bool) (bool, error) {
	if ig == nil || ig.matcher == nil || rel == "." {
		return false, nil
	}
	out, info, err := ig.matcher.MatchesUsingParentResults(rel, ig.parent(path.Dir(rel)))
	if err == nil && folder {
		ig.seen[rel] = info
	}
	return out, err
}

// parent is what is known of a folder; one that nobody asked about is asked now.
func (ig *Ignore) parent(dir string) patternmatcher.MatchInfo {
	if dir == "." || dir == "/" {
		return patternmatcher.MatchInfo{}
	}
	if info, ok := ig.seen[dir]; ok {
		return info
	}
	_, info, err := ig.matcher.MatchesUsingParentResults(dir, ig.parent(path.Dir(dir)))
	if err == nil {
		ig.seen[dir] = info
	}
	return info
}

// Exceptions says whether some pattern takes back another (!): only then can a
// folder that is left out hold something that is not.
func (ig *Ignore) Exceptions() bool {
	return ig != nil && ig.matcher != nil && ig.matcher.Exclusions()
}

// IgnoreNames are the ignore files of a Dockerfile below its context, the one
// that counts first.
func IgnoreNames(dockerfile string) []string {
	return []string{strings.TrimPrefix(dockerfile, "./") + ".dockerignore", ".dockerignore"}
}

package template

import (
	"net/url"
	"path"
	"path/filepath"
	"strings"
)

// Git puts the files of a commit into the image.
type Git struct {
	URL     string // https, http or file, without credentials; or an absolute path
	Commit  string // 40 or 64 hex digits where Ref is one; else the lock says it
	Ref     string // branch, tag or commit
	Subdir  string // relative and clean; "." for the whole tree
	Target  string // absolute and clean; receives the content of Subdir
	UID     int
	GID     int
	Exclude []string // patterns as in .kilnignore, relative to Subdir
	Pos     Pos
}

// Position says where the step is written.
func (g *Git) Position() Pos { return g.Pos }

// String names the step in reports and in the image's history.
func (g *Git) String() string {
	return "git " + strings.TrimSuffix(path.Base(g.URL), ".git") + " " + g.Ref + " -> " + g.Target
}

// Key is how a lock refers to what the step reads.
func (g *Git) Key() string { return g.URL + "#" + g.Ref }

// Git's own rules (git-check-ref-format) allow more; this is what people use.
var gitRefRE = lazily(`^[A-Za-z0-9][A-Za-z0-9._/+-]{0,250}$`)

func (l *loader) git(s *section) *Git {
	s.require("url", "ref", "target")
	g := &Git{URL: s.repository(), Ref: s.text("ref"), Exclude: s.excluded(), Pos: l.pos(s.body.SrcRange), Subdir: "."}
	g.UID, g.GID = s.owner()
	g.Target = s.imagePath("target")
	if s.has("ref") && (!gitRefRE().MatchString(g.Ref) || strings.Contains(g.Ref, "..")) {
		s.wrong("ref", "want a branch, a tag or a commit", "ref %q is none that git could have", g.Ref)
	}
	if commitRE().MatchString(g.Ref) {
		g.Commit = g.Ref
	}
	if sub := s.text("subdir"); sub != "" {
		g.Subdir = path.Clean(sub)
		if path.IsAbs(g.Subdir) || g.Subdir == ".." || strings.HasPrefix(g.Subdir, "../") {
			s.wrong("subdir", "", "subdir %q is outside the repository", sub)
		}
	}
	s.done()
	return g
}

// repository reads the address of a git repository.
func (s *section) repository() string {
	text, ok := s.givenText("url")
	if !ok {
		return ""
	}
	if filepath.IsAbs(text) {
		return filepath.Clean(text)
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && u.User != nil && u.Scheme != "ssh":
		s.wrong("url", "everybody who reads the template or the image's provenance would have them", "url holds credentials")
	case err != nil || u.Scheme == "ssh" || u.Scheme == "" || u.Scheme == "git":
		s.wrong("url", "keys of a user are no input that another machine has: use https://…, file:///… or an absolute path", "url is no repository that everybody can read")
	case u.Scheme == "file" && u.Host == "" && path.IsAbs(u.Path):
		return text
	case (u.Scheme != "https" && u.Scheme != "http") || u.Host == "":
		s.wrong("url", "want https://…, file:///… or an absolute path", "url is no address of a repository")
	case secretKey(u) != "":
		s.wrong("url", "everybody who reads the template or the image's provenance would have it", "url: the parameter %q reads like a secret", secretKey(u))
	}
	return text
}

// Repositories are the git steps of im whose commit a lock says.
func (im *Image) Repositories() []*Git {
	var list []*Git
	for _, step := range im.Steps {
		if g, ok := step.(*Git); ok && g.Commit == "" {
			list = append(list, g)
		}
	}
	return list
}

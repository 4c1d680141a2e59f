package template

import (
	"fmt"
	"strings"
)

// ImageCopy copies files out of another image, which does not become a parent.
type ImageCopy struct {
	From    From
	Source  string // absolute and clean, in that image; a symlink there is followed
	Target  string // absolute and clean; the file itself, or the folder that receives the source's content
	Into    bool   // a source that is a file lands below Target, by its own name
	Owned   bool   // files get UID and GID; else they keep theirs
	UID     int
	GID     int
	Exclude []string // patterns as in .kilnignore, relative to the source
	Pos     Pos
}

// Position says where the step is written.
func (c *ImageCopy) Position() Pos { return c.Pos }

func (c *ImageCopy) froms() []*From { return []*From{&c.From} }

// imageCopy reads an image block within an image.
func (l *loader) imageCopy(s *section) *ImageCopy {
	s.require("from", "source", "target")
	c := &ImageCopy{Exclude: s.excluded(), Pos: l.pos(s.body.SrcRange), Owned: s.has("owner")}
	c.UID, c.GID = s.owner()
	var ok bool
	if c.From, ok = s.from(); ok && s.has("from") && c.From.Kind == FromScratch {
		s.wrong("from", `want image.name, "name@sha256:…" or channel("name", "prod")`, "from: scratch has no files")
	}
	c.Source = s.imagePath("source")
	c.Target, c.Into = s.target()
	s.done()
	return c
}

// excluded reads the patterns of exclude.
func (s *section) excluded() []string {
	list := s.texts("exclude")
	if _, err := parsePatterns(list); err != nil {
		s.wrong("exclude", "", "exclude: %v", err)
	}
	return list
}

// imagePath is a path of an image that must be absolute.
func (s *section) imagePath(name string) string {
	text, ok := s.givenText(name)
	if !ok {
		return ""
	}
	clean, ok := cleanTarget(text)
	if !ok {
		s.wrong(name, `begin it with "/" and leave out ".."`, "%s %q is not absolute", name, text)
	}
	return clean
}

// target is where a step's files land; into says that it ends in a slash.
func (s *section) target() (clean string, into bool) {
	clean = s.imagePath("target")
	return clean, clean == "/" || strings.HasSuffix(s.text("target"), "/")
}

// Matcher tells what patterns, as in .kilnignore, leave out: paths relative to
// where they stand, with slashes. What lies in a folder that is left out is
// left out with it.
func Matcher(lines []string) (func(rel string, folder bool) bool, error) {
	list, err := parsePatterns(lines)
	if err != nil {
		return nil, fmt.Errorf("exclude: %w", err)
	}
	return func(rel string, folder bool) bool {
		for at := 0; ; at++ {
			next := strings.IndexByte(rel[at:], '/')
			if next < 0 {
				return list.match(rel, folder)
			}
			if at += next; list.match(rel[:at], true) {
				return true
			}
		}
	}, nil
}

package template

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
)

// Fetch puts what lies at an address into the image. Its content is pinned, so
// that any server may deliver it.
type Fetch struct {
	URL     string // http or https, without credentials
	SHA256  string // hex, of what the address delivers
	Target  string // absolute and clean; the file itself, or the folder that receives the archive's content
	Extract *Extract
	Mode    *uint32 // of files; nil for 0644, in an archive for what it says
	UID     int
	GID     int
	Pos     Pos
}

// Extract unpacks an archive: tar, plain or in gzip, xz, zstd or bzip2, or zip.
type Extract struct {
	Strip   int      // leading names that are cut off every path
	Exclude []string // patterns as in .kilnignore, on the paths that are left
}

// Position says where the step is written.
func (f *Fetch) Position() Pos { return f.Pos }

// maxStrip is more folders than archives lie in.
const maxStrip = 64

func (l *loader) fetch(s *section) *Fetch {
	s.require("url", "target")
	f := &Fetch{Mode: s.mode(), Pos: l.pos(s.body.SrcRange)}
	f.UID, f.GID = s.owner()
	u := s.address("url")
	if u != nil {
		f.URL = u.String()
	}
	f.SHA256 = s.sha256(f.URL)
	var into bool
	f.Target, into = s.target()
	if x := s.block("extract"); x != nil {
		f.Extract = &Extract{Strip: x.whole("strip", 0, 0, maxStrip), Exclude: x.excluded()}
		x.done()
	}
	s.done()
	if f.Extract != nil || !into || u == nil {
		return f
	}
	base := path.Base(u.Path)
	if base == "." || base == "/" {
		s.wrong("target", "name the file, as in /usr/local/bin/tool", "target %q is a folder, and the url ends in no name", s.text("target"))
	}
	f.Target = path.Join(f.Target, base)
	return f
}

// sha256 reads the hash that a fetch must have.
func (s *section) sha256(location string) string {
	sum := strings.TrimPrefix(s.text("sha256"), "sha256:")
	switch {
	case !s.has("sha256"):
		s.add(s.body.SrcRange, s.where, "see what it is now with: curl -fsSL "+shellQuote(location)+" | sha256sum", "sha256 is missing")
	case !sha256RE().MatchString(sum):
		s.wrong("sha256", "want 64 lower-case hex digits", "sha256 %q is no hash", sum)
	}
	return sum
}

func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// address reads the URL of something public: http or https, with nothing in it
// that reads like a secret.
func (s *section) address(name string) *url.URL {
	text, ok := s.givenText(name)
	if !ok {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		s.wrong(name, "want http://… or https://…", "%s is no address to fetch from", name)
		return nil
	case u.User != nil:
		s.wrong(name, "everybody who reads the template or the image's provenance would have them", "%s holds credentials", name)
		return nil
	}
	if key := secretKey(u); key != "" {
		s.wrong(name, "everybody who reads the template or the image's provenance would have it", "%s: the parameter %q reads like a secret", name, key)
		return nil
	}
	u.Fragment = ""
	return u
}

// secretKeyRE matches parameters of signed or private addresses.
var secretKeyRE = lazily(`(?i)^(key|sig)$|token|secret|passw|signature|credential|api-?_?key|access-?_?key|private-?_?key|auth`)

func secretKey(u *url.URL) string {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "?"
	}
	var found []string
	for key := range values {
		if secretKeyRE().MatchString(key) {
			found = append(found, key)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// String names the step in reports and in the image's history: not by its
// server, since another one may have the same file.
func (f *Fetch) String() string {
	base := f.URL
	if u, err := url.Parse(f.URL); err == nil && path.Base(u.Path) != "/" {
		base = path.Base(u.Path)
	}
	return fmt.Sprintf("fetch %s -> %s", base, f.Target)
}

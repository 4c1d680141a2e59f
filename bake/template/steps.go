package template

import (
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"
)

var userRE = lazily(`^[a-z_][a-z0-9_-]*\$?$|^[0-9]{1,10}$`)

// maxID is the highest user or group id; the one above it means "none".
const maxID = 1<<32 - 2

// stepReaders read the blocks that are steps, by their type.
func (l *loader) stepReaders() map[string]func(*section) Step {
	return map[string]func(*section) Step{
		"copy":  func(s *section) Step { return l.copy(s) },
		"run":   func(s *section) Step { return l.run(s) },
		"image": func(s *section) Step { return l.imageCopy(s) },
		"fetch": func(s *section) Step { return l.fetch(s) },
		"git":   func(s *section) Step { return l.git(s) },
		"go":    func(s *section) Step { return l.goProgram(s) },
	}
}

// steps reads the blocks that are steps in the order in which they are written.
func (l *loader) steps(image *section) []Step {
	readers, declarations := l.stepReaders(), l.declarations()
	for _, typ := range slices.Sorted(maps.Keys(readers)) {
		image.blocks(typ, 0)
	}
	for _, typ := range slices.Sorted(maps.Keys(declarations)) {
		image.blocks(typ, declarations[typ].labels)
	}
	var steps []Step
	var open *Declare // declarations that follow each other are one step
	for _, b := range image.body.Blocks {
		if read := readers[b.Type]; read != nil && len(b.Labels) == 0 {
			steps, open = append(steps, read(image.child(b))), nil
		}
		if kind, ok := declarations[b.Type]; ok && len(b.Labels) == kind.labels {
			if open == nil {
				open = &Declare{Pos: l.pos(b.DefRange())}
				steps = append(steps, open)
			}
			l.declare(image.child(b), strings.Join(b.Labels, ""), kind, open)
		}
	}
	return steps
}

func (l *loader) copy(s *section) *Copy {
	s.require("source", "target")
	c := &Copy{Root: l.recipe.Dir, Exclude: s.excluded(), Pos: l.pos(s.body.SrcRange)}
	c.UID, c.GID = s.owner()
	c.Mode = s.mode()
	c.ModTime = s.mtime()
	target, hasTarget := s.givenText("target")
	source, hasSource := s.givenText("source")
	s.done()
	if hasTarget {
		clean, ok := cleanTarget(target)
		if !ok {
			s.wrong("target", `begin it with "/" and leave out ".."`, "target %q is not absolute", target)
		}
		c.Target = clean
	}
	switch {
	case !hasSource:
		return c
	case source == "":
		s.wrongSource(`"." is the template's folder`, "is empty")
		return c
	}
	info := l.source(s, c, source)
	if info == nil {
		return c
	}
	switch {
	case !info.IsDir() && strings.HasSuffix(target, "/"):
		c.Target = path.Join(c.Target, path.Base(c.Rel))
	case !info.IsDir() && c.Target == "/":
		s.wrong("target", "name the file, as in /app", "target / is no place for a file")
	}
	return c
}

// source checks a copy's source: inside the folder, there, and not reached
// through a symlink.
func (l *loader) source(s *section, c *Copy, source string) fs.FileInfo {
	rel := path.Clean(filepath.ToSlash(source))
	if path.IsAbs(rel) || rel == ".." || strings.HasPrefix(rel, "../") {
		s.wrongSource("copy takes files of the folder of "+l.file+" only", "%q is outside the template's folder", source)
		return nil
	}
	c.Rel, c.Source = rel, filepath.Join(c.Root, filepath.FromSlash(rel))
	info, err := lstatNoLinks(l.files.root, rel)
	if err != nil {
		s.wrongSource(sourceHint(err), "%q %v", source, err)
		return nil
	}
	return info
}

// wrongSource notes a problem with a copy's source, which names the block.
func (s *section) wrongSource(hint, format string, args ...any) {
	s.add(s.at("source"), strings.TrimSuffix(s.where, ": copy"), hint, "copy source "+format, args...)
}

func (s *section) owner() (uid, gid int) {
	text := s.text("owner")
	if text == "" {
		return 0, 0
	}
	u, g, both := strings.Cut(text, ":")
	if !both {
		g = u
	}
	uid, okU := parseID(u)
	gid, okG := parseID(g)
	if !okU || !okG {
		s.wrong("owner", `write "10001:10001"; names differ between images`, "owner %q is not a numeric uid:gid", text)
	}
	return uid, gid
}

func parseID(s string) (int, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return int(n), err == nil && n <= maxID
}

func (s *section) mode() *uint32 {
	text := s.text("mode")
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 8, 32)
	if err != nil || n > 0o7777 {
		s.wrong("mode", `write it in octal, as "0644"`, "mode %q is no file mode", text)
		return nil
	}
	m := uint32(n)
	return &m
}

// mtime reads RFC 3339, or seconds since 1970.
func (s *section) mtime() *time.Time {
	text := s.text("mtime")
	if text == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if seconds, nerr := strconv.ParseInt(text, 10, 64); nerr == nil {
		t, err = time.Unix(seconds, 0), nil
	}
	if err != nil || t.Unix() < 0 || t.Year() > 2200 {
		s.wrong("mtime", `write it as "2024-01-31T00:00:00Z"`, "mtime %q is no time", text)
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func (l *loader) run(s *section) *Run {
	s.require("command")
	r := &Run{
		Command: s.words("command"),
		Workdir: s.directory("workdir", "/"),
		Network: s.text("network"),
		User:    s.user("user"),
		Timeout: s.duration("timeout", DefaultRunTimeout),
		Pos:     l.pos(s.body.SrcRange),
	}
	r.Env, r.Secret = s.secretEnv("env")
	r.Mounts = l.mounts(s)
	switch r.Network {
	case "":
		r.Network = "none"
	case "none", "host":
	default:
		s.wrong("network", `want "none" or "host"`, "there is no network %q", r.Network)
	}
	s.done()
	return r
}

// directory is an absolute path in the image.
func (s *section) directory(name, def string) string {
	text := s.text(name)
	if text == "" {
		return def
	}
	clean, ok := cleanTarget(text)
	if !ok {
		s.wrong(name, `begin it with "/" and leave out ".."`, "%s %q is not absolute", name, text)
	}
	return clean
}

// user is "uid", "uid:gid", or names of the image in their place.
func (s *section) user(name string) string {
	text := s.text(name)
	if text == "" {
		return ""
	}
	u, g, both := strings.Cut(text, ":")
	if !userRE().MatchString(u) || (both && !userRE().MatchString(g)) {
		s.wrong(name, `write "10001", "10001:10001" or a name`, "%q is no user", text)
	}
	return text
}

// env reads environment variables.
func (s *section) env(name string) map[string]string {
	m := s.textMap(name)
	s.envNames(name, m)
	return m
}

func (s *section) envNames(name string, m map[string]string) {
	for k := range m {
		if k == "" || strings.ContainsAny(k, "=\x00\n") {
			s.wrong(name, "", "%s: %q is no variable's name", name, k)
		}
	}
}

// secretEnv is env for a place that may hold sensitive values; it says which.
func (s *section) secretEnv(name string) (env map[string]string, secret []string) {
	v, ok := s.evaluate(name, cty.Map(cty.String))
	if !ok {
		return nil, nil
	}
	v, marks := v.Unmark()
	env = make(map[string]string, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		k, e := it.Element()
		e, own := e.Unmark()
		if e.IsNull() || strings.ContainsRune(e.AsString(), 0) {
			s.wrong(name, "", "%s: the value of %q is null or holds a NUL byte", name, k.AsString())
			continue
		}
		env[k.AsString()] = e.AsString()
		if len(marks)+len(own) > 0 {
			secret = append(secret, k.AsString())
		}
	}
	s.envNames(name, env)
	sort.Strings(secret)
	return env, slices.Compact(secret)
}

package template

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// MountType says what a command sees at a mount.
type MountType string

// The types of mount.
const (
	MountSecret MountType = "secret" // a value in memory, which no layer gets
	MountCache  MountType = "cache"  // a folder that stays from step to step, outside the image
	MountBind   MountType = "bind"   // files of the template's folder or of another image
	MountTmpfs  MountType = "tmpfs"  // an empty folder in memory
)

// Mount is what a command sees besides the image; it is gone when the command
// ends. Fields that do not belong to Type are zero.
type Mount struct {
	Type   MountType
	Target string // absolute and clean; "" for a Dockerfile's secret that is only a variable

	ID   string  // of a secret or cache
	Mode *uint32 // of a secret's file or a cache's folder; nil for 0400 and 0755
	UID  int     // of a secret's file or a cache's folder
	GID  int

	Secret   Secret // of a secret
	Env      string // variable that gets the secret; "" for none
	Optional bool   // a secret that nobody has is left out

	From     *From    `json:"-"` // image of a bind; nil for the template's folder
	Source   string   // of a bind: absolute in an image, else relative to Root
	Root     string   `json:"-"` // absolute path of the template's folder, of a bind
	Exclude  []string // of a bind, patterns as in .kilnignore
	Writable bool     // of a bind: what is written there is thrown away

	Size int64 // of a tmpfs in bytes; 0 for the default
}

// Secret says where a secret comes from when a step runs. All empty: nowhere.
type Secret struct {
	Env   string // variable of whoever bakes
	File  string // absolute, or below ~/
	Value string `json:"-"` // of a sensitive variable
}

// Given says whether the secret comes from somewhere.
func (s Secret) Given() bool { return s != Secret{} }

var secretNameRE = lazily(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)

// mounts reads the secret, cache, bind and tmpfs blocks of a run.
func (l *loader) mounts(s *section) []Mount {
	list := l.secretMounts(s)
	for _, b := range s.blocks("cache", 0) {
		c := s.child(b)
		c.require("target")
		m := Mount{Type: MountCache, Target: c.mountPoint(), ID: c.text("id"), Mode: c.mode()}
		if m.UID, m.GID = c.owner(); m.ID == "" {
			m.ID = m.Target
		}
		c.done()
		list = append(list, m)
	}
	for _, b := range s.blocks("bind", 0) {
		list = append(list, l.bind(s.child(b)))
	}
	for _, b := range s.blocks("tmpfs", 0) {
		c := s.child(b)
		c.require("target")
		list = append(list, Mount{Type: MountTmpfs, Target: c.mountPoint()})
		c.done()
	}
	seen := map[string]bool{}
	for _, m := range list {
		if m.Target != "" && seen[m.Target] {
			s.add(s.body.SrcRange, s.where, "", "two mounts at %q", m.Target)
		}
		seen[m.Target] = true
	}
	return list
}

// secretMounts reads secret blocks; their names are the label.
func (l *loader) secretMounts(s *section) []Mount {
	var list []Mount
	for _, b := range s.blocks("secret", 1) {
		c := s.child(b)
		m := Mount{Type: MountSecret, ID: b.Labels[0], Mode: c.mode(), Env: c.text("variable"), Target: c.mountPoint()}
		if !secretNameRE().MatchString(m.ID) {
			s.add(b.DefRange(), c.where, "use letters, digits and _ . -", "the secret has no name")
		}
		m.UID, m.GID = c.owner()
		m.Optional = c.boolean("optional")
		if m.Env != "" {
			c.envNames("variable", map[string]string{m.Env: ""})
		}
		if m.Target == "" {
			m.Target = "/run/secrets/" + m.ID
		}
		m.Secret = l.secret(c)
		c.done()
		list = append(list, m)
	}
	return list
}

// secret reads where a secret comes from: one of env, file and value.
func (l *loader) secret(s *section) Secret {
	given := 0
	for _, name := range []string{"env", "file", "value"} {
		if s.has(name) {
			given++
		}
	}
	if given != 1 {
		s.add(s.body.SrcRange, s.where, `write env = "NAME", file = "/path" or value = var.…`, "say once where the secret comes from")
	}
	from := Secret{Env: s.text("env"), File: s.secretFile(l.recipe.Dir), Value: s.sensitiveText("value")}
	if strings.ContainsAny(from.Env, "=\x00\n") {
		s.wrong("env", "", "env: %q is no variable's name", from.Env)
	}
	return from
}

// secretFile refuses a file that copies could take into an image.
func (s *section) secretFile(dir string) string {
	text := s.text("file")
	if text == "" {
		return ""
	}
	if !strings.HasPrefix(text, "~/") && !filepath.IsAbs(text) {
		s.wrong("file", `write "/path" or "~/path"`, "file %q is not absolute", text)
		return ""
	}
	clean := filepath.Clean(text)
	if rel, err := filepath.Rel(dir, clean); err == nil && filepath.IsAbs(clean) && rel != ".." && !strings.HasPrefix(rel, "../") {
		s.wrong("file", "keep it elsewhere: what lies here ends up in images and commits", "file %q is in the template's folder", text)
	}
	return clean
}

// sensitiveText is a text that must come from a sensitive variable.
func (s *section) sensitiveText(name string) string {
	v, ok := s.evaluate(name, cty.String)
	if !ok {
		return ""
	}
	v, marks := v.Unmark()
	if len(marks) == 0 {
		s.wrong(name, "declare the variable with sensitive = true", "%s is not sensitive: it would be in the template or the provenance", name)
		return ""
	}
	return v.AsString()
}

// mountPoint is an absolute path below the root; "" where none is given.
func (s *section) mountPoint() string {
	clean := s.imagePath("target")
	if clean == "/" {
		s.wrong("target", "", "target / cannot be mounted over")
	}
	return clean
}

// bind reads a bind block.
func (l *loader) bind(s *section) Mount {
	s.require("source", "target")
	m := Mount{Type: MountBind, Target: s.mountPoint(), Exclude: s.excluded()}
	if s.has("from") {
		f, ok := s.from()
		if ok && f.Kind == FromScratch {
			s.wrong("from", "", "from: scratch has no files")
		}
		m.From, m.Source = &f, s.imagePath("source")
		s.done()
		return m
	}
	source, ok := s.givenText("source")
	s.attributes = append(s.attributes, "from")
	s.done()
	if ok {
		c := &Copy{Root: l.recipe.Dir}
		l.source(s, c, source)
		m.Root, m.Source = c.Root, c.Rel
	}
	return m
}

// Copied is what a bind of the template's folder takes, as a copy to "/" would;
// nil for every other mount.
func (m Mount) Copied() *Copy {
	if m.Type != MountBind || m.From != nil || m.Root == "" {
		return nil
	}
	return &Copy{Root: m.Root, Rel: m.Source, Source: filepath.Join(m.Root, filepath.FromSlash(m.Source)), Target: "/", Exclude: m.Exclude}
}

// String names a mount in messages.
func (m Mount) String() string {
	if m.Type == MountSecret {
		return fmt.Sprintf("secret %q", m.ID)
	}
	return fmt.Sprintf("%s %s", m.Type, m.Target)
}

func (r *Run) froms() []*From {
	var list []*From
	for _, m := range r.Mounts {
		if m.From != nil {
			list = append(list, m.From)
		}
	}
	return list
}

package template

import (
	"errors"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// debian reads the debian block, which may stand beside a parent; nil without
// one.
func (l *loader) debian(image *section, beside bool) *Debian {
	s := image.block("debian")
	if s == nil {
		return nil
	}
	d := &Debian{
		Suite:       s.suite(!beside),
		Variant:     s.variant(beside),
		Components:  s.components(),
		Packages:    s.packages("packages"),
		Mirror:      s.mirror(),
		SourcesList: s.text("sources_list"),
	}
	d.Keyring = l.keyring(s)
	if d.Keyring != "" && d.Mirror == "" {
		s.wrong("keyring", "give mirror as well", "keyring stands without mirror")
	}
	for _, b := range s.blocks("source", 0) {
		c := s.child(b)
		if c.require("mirror", "suite", "keyring") {
			d.Sources = append(d.Sources, Source{Mirror: c.mirror(), Suite: c.suite(true), Components: c.components(), Keyring: l.keyring(c)})
		}
		c.attributes = append(c.attributes, "mirror", "suite", "components", "keyring")
		c.done()
	}
	s.done()
	return d
}

func (s *section) suite(required bool) string {
	if required && !s.has("suite") {
		s.add(s.body.SrcRange, s.where, `add suite = "bookworm"`, "suite is missing")
	}
	suite := s.text("suite")
	if suite != "" && (!suiteRE().MatchString(suite) || strings.Contains(suite, "..")) {
		s.wrong("suite", "", "%q is no suite", suite)
	}
	return suite
}

func (s *section) variant(beside bool) string {
	known := []string{VariantMinbase, VariantEssential, VariantDistroless}
	v := s.text("variant")
	switch {
	case beside && v != "":
		s.wrong("variant", "a variant is for an image without from", "variant stands beside from")
		return ""
	case beside:
		return ""
	case v == "":
		return VariantMinbase
	case !slices.Contains(known, v):
		hint := DidYouMean(v, known)
		if hint == "" {
			hint = "want minbase, essential or distroless"
		}
		s.wrong("variant", hint, "there is no variant %q", v)
	}
	return v
}

func (s *section) components() []string {
	list := s.texts("components")
	for _, c := range list {
		if !componentsRE().MatchString(c) {
			s.wrong("components", "", "%q is no component", c)
		}
	}
	return list
}

// packages reads package names, without repeats, in the order written.
func (s *section) packages(name string) []string {
	var list []string
	for _, p := range s.texts(name) {
		switch {
		case strings.ContainsAny(p, "=/"):
			s.wrong(name, "kiln.lock pins versions: kiln lock --update moves them", "%s: %q names a version", name, p)
		case !packageRE().MatchString(p):
			s.wrong(name, "", "%s: %q is no package name", name, p)
		case !slices.Contains(list, p):
			list = append(list, p)
		}
	}
	return list
}

// mirror is a URL of an archive, or an absolute path of one.
func (s *section) mirror() string {
	m := s.text("mirror")
	if m == "" || filepath.IsAbs(m) {
		return m
	}
	u, err := url.Parse(m)
	switch {
	case err != nil || !slices.Contains([]string{"http", "https", "file"}, u.Scheme) || (u.Host == "" && u.Scheme != "file"):
		s.wrong("mirror", "want http://…, https://… or an absolute path", "mirror is no archive's address")
	case u.User != nil:
		s.wrong("mirror", "keep them out of the template: apt's auth.conf holds them", "mirror holds credentials")
	}
	return m
}

// keyring is an armoured key as it stands, or the absolute path of a key file:
// one on the host where it is written absolute, else one in the folder.
func (l *loader) keyring(s *section) string {
	k := s.text("keyring")
	if k == "" || strings.HasPrefix(strings.TrimSpace(k), "-----BEGIN PGP PUBLIC KEY BLOCK") || filepath.IsAbs(k) {
		return k
	}
	if _, err := l.files.read(k); err != nil {
		hint := ""
		if errors.Is(err, fs.ErrNotExist) {
			hint = "a path in the template's folder, an absolute one, or the armoured key itself"
		}
		s.wrong("keyring", hint, "keyring: %v", err)
		return ""
	}
	return filepath.Join(l.recipe.Dir, filepath.FromSlash(k))
}

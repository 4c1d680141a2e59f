package template

import (
	"path"
	"path/filepath"
	"strings"
)

// Go builds a static program of a Go module in the template's folder. The lock
// says with which version of Go.
type Go struct {
	Root    string // absolute path of the template's folder
	Dir     string // of the module, relative to Root, clean
	Package string // "." or below "./"
	Target  string // absolute and clean; the program itself
	LDFlags string // besides those that strip it and take its build id
	Tags    []string
	Env     map[string]string
	Mode    uint32
	UID     int
	GID     int
	Exclude []string // files of the module that are no inputs, as in .kilnignore
	Pos     Pos
}

// Position says where the step is written.
func (g *Go) Position() Pos { return g.Pos }

// String names the step in reports and in the image's history.
func (g *Go) String() string { return "go " + path.Join(g.Dir, g.Package) + " -> " + g.Target }

// Module is the copy that would take all that the program can be made of, also
// what other copies shall not take.
func (g *Go) Module() *Copy {
	return &Copy{Root: g.Root, Rel: g.Dir, Source: filepath.Join(g.Root, filepath.FromSlash(g.Dir)), Target: "/", Exclude: g.Exclude, All: true}
}

var (
	goPackageRE = lazily(`^\.(?:/[A-Za-z0-9._~@+-]+)*$`)
	goTagRE     = lazily(`^[A-Za-z0-9_.]+$`)
	goEnvRE     = lazily(`^GO(?:AMD64|ARM64|ARM|386|MIPS|MIPS64|PPC64|RISCV64|EXPERIMENT|FIPS140)$`)
)

func (l *loader) goProgram(s *section) *Go {
	s.require("package", "target")
	g := &Go{
		Root: l.recipe.Dir, Package: s.text("package"), LDFlags: s.text("ldflags"), Tags: s.texts("tags"),
		Env: s.textMap("env"), Exclude: s.excluded(), Mode: 0o755, Pos: l.pos(s.body.SrcRange),
	}
	g.UID, g.GID = s.owner()
	if m := s.mode(); m != nil {
		g.Mode = *m
	}
	if s.boolean("cgo") {
		s.wrong("cgo", "build it with a run step in an image that has the compiler and libraries", "cgo needs a C compiler, which is no pinned input")
	}
	target, into := s.target()
	dir := s.text("dir")
	s.done()
	if dir == "" {
		dir = "."
	}
	l.module(s, g, dir)
	if s.has("package") && (!goPackageRE().MatchString(g.Package) || strings.Contains(g.Package, "/..")) {
		s.wrong("package", `write "." or "./cmd/name"`, "package %q is no folder of the module", g.Package)
	}
	for _, tag := range g.Tags {
		if !goTagRE().MatchString(tag) {
			s.wrong("tags", "", "tags: %q is no build tag", tag)
		}
	}
	for name := range g.Env {
		if !goEnvRE().MatchString(name) {
			s.wrong("env", "want one like GOAMD64 or GOEXPERIMENT", "env: %s does not choose how Go compiles", name)
		}
	}
	if g.Target = target; into {
		g.Target = path.Join(target, path.Base(path.Join("/", path.Base(filepath.Join(g.Root, g.Dir)), g.Package)))
	}
	return g
}

// module checks that a go.mod lies in the folder, within the template's.
func (l *loader) module(s *section, g *Go, dir string) {
	rel := path.Clean(filepath.ToSlash(dir))
	if path.IsAbs(rel) || rel == ".." || strings.HasPrefix(rel, "../") {
		s.wrong("dir", "", "dir %q is outside the template's folder", dir)
		return
	}
	if _, err := lstatNoLinks(l.files.root, path.Join(rel, "go.mod")); err != nil {
		s.wrong("dir", "name the folder of the module", "%q %v", path.Join(rel, "go.mod"), err)
	}
	g.Dir = rel
}

// Programs are the go steps of im.
func (im *Image) Programs() []*Go {
	var list []*Go
	for _, step := range im.Steps {
		if g, ok := step.(*Go); ok {
			list = append(list, g)
		}
	}
	return list
}

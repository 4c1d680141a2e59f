package template

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Bounds of a template: they keep a hostile one from exhausting the parser.
const (
	maxTemplate = 512 << 10 // bytes
	maxNesting  = 100       // brackets, interpolations and signs
)

// Options are what a template may depend on besides its own text and files.
// The zero value has none of it.
type Options struct {
	Vars map[string]string        // values of variables, by name; they win over Env
	Env  func(name string) string // environment, asked for KILN_VAR_<name> only; "" means unset
	Git  func() (commit string)   // full commit of the template, asked only when it says git.commit; "" means none
	// Rules names the rules for secrets, asked only when an allow names one; nil
	// or none leaves those unchecked.
	Rules func() []string
}

// loader is one Load under way.
type loader struct {
	problems
	opts   Options
	recipe *Recipe
	files  *reader
	ctx    *hcl.EvalContext
}

// Load reads the template at path, a folder with a kiln.hcl or the file
// itself. A template that cannot be baked is an [*Error]; one that cannot be
// read is the cause of that.
func Load(path string, opts Options) (*Recipe, error) {
	file, err := locate(path)
	if err != nil {
		return nil, err
	}
	src, err := readBounded(file, maxTemplate)
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	defer root.Close()
	l := &loader{
		problems: problems{file: filepath.Base(file)},
		opts:     opts,
		recipe:   &Recipe{Dir: filepath.Dir(file), File: file},
		files:    &reader{root: root, seen: map[string]bool{}},
	}
	l.load(src)
	if err := l.err(); err != nil {
		return nil, err
	}
	l.recipe.Reads = l.files.names()
	return l.recipe, nil
}

func locate(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	info, err := os.Stat(abs)
	if err != nil {
		return "", fmt.Errorf("read template: %w", err)
	}
	if !info.IsDir() {
		return abs, nil
	}
	file := filepath.Join(abs, FileName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("no %s in %s: kiln init writes one: %w", FileName, path, fs.ErrNotExist)
	}
	return file, nil
}

func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", file, limit)
	}
	return data, nil
}

func (l *loader) load(src []byte) {
	body := l.parse(src)
	if body == nil {
		return
	}
	l.ctx = &hcl.EvalContext{Functions: l.functions()}
	top := &section{problems: &l.problems, ctx: l.ctx, body: body}
	top.blocks("locals", 0)
	values := l.variables(top.blocks("variable", 1))
	l.ctx.Variables = map[string]cty.Value{"var": cty.ObjectVal(values)}
	if uses(body, "git") {
		l.ctx.Variables["git"] = cty.ObjectVal(map[string]cty.Value{"commit": cty.StringVal(l.commit())})
	}
	l.locals(top)
	l.project(top)
	images := top.blocks("image", 1)
	if len(images) == 0 {
		l.add(body.SrcRange, "", `add image "name" { … }`, "the template has no image")
	}
	l.images(top, images)
	top.done()
}

func (l *loader) parse(src []byte) *hclsyntax.Body {
	if !utf8.Valid(src) {
		l.add(hcl.Range{}, "", "", "the template is not UTF-8")
		return nil
	}
	if line := tooDeep(src); line > 0 {
		l.add(hcl.Range{Start: hcl.Pos{Line: line}}, "", "", "more than %d brackets or signs stand inside each other", maxNesting)
		return nil
	}
	f, diags := hclsyntax.ParseConfig(src, l.file, hcl.InitialPos)
	if diags.HasErrors() {
		l.diags("", diags)
		return nil
	}
	return f.Body.(*hclsyntax.Body)
}

// tooDeep is the line where nesting passes the bound, 0 where it never does:
// the parser recurses and has no bound of its own.
func tooDeep(src []byte) int {
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	depth, signs := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOParen, hclsyntax.TokenOBrace, hclsyntax.TokenOBrack,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl, hclsyntax.TokenQuestion:
			depth++
		case hclsyntax.TokenCParen, hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenTemplateSeqEnd:
			depth--
		case hclsyntax.TokenBang, hclsyntax.TokenMinus:
			signs++
		case hclsyntax.TokenNewline:
			signs = 0
		}
		if depth+signs > maxNesting {
			return t.Range.Start.Line
		}
	}
	return 0
}

// commit is the template's commit; zeros, like the version tag, without one.
func (l *loader) commit() string {
	if l.opts.Git != nil {
		if c := l.opts.Git(); c != "" {
			return c
		}
	}
	return strings.Repeat("0", 40)
}

func (l *loader) project(top *section) {
	name, ok := top.givenText("project")
	if !top.has("project") {
		l.add(top.body.SrcRange, "", `begin the template with project = "name"`, "project is missing")
		return
	}
	if problem, hint := projectProblem(name); ok && problem != "" {
		top.wrong("project", hint, "%s", problem)
	}
	l.recipe.Project = name
}

// reader reads files of the template's folder for functions, and remembers
// which.
type reader struct {
	root *os.Root
	seen map[string]bool
}

// read refuses what lies outside the folder, also by way of a symlink.
func (r *reader) read(name string) ([]byte, error) {
	f, err := r.root.Open(name)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return nil, fmt.Errorf("read %q in the template's folder: %w", name, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %q: not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if len(data) > maxTemplate {
		return nil, fmt.Errorf("read %q: more than %d bytes", name, maxTemplate)
	}
	r.seen[filepath.ToSlash(filepath.Clean(name))] = true
	return data, nil
}

func (r *reader) names() []string {
	names := make([]string, 0, len(r.seen))
	for name := range r.seen {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

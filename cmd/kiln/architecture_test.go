package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

// module is what the paths of our packages begin with.
const module = "kiln"

// imports says which packages of ours a package may import. A package below
// one of these follows its rule, and may import it. What is not here may not
// be there: a new package is a decision. Tests may import more.
var imports = map[string][]string{
	"layers":         {},
	"registry":       {},
	"registry/store": {},
	"sign":           {},
	"policy":         {},
	"templates":      {},

	"registry/contentstore":  {"registry", "registry/store"},
	"registry/ociclient":     {"registry"},
	"registry/ociserver":     {"registry"},
	"registry/registrytest":  {"registry", "registry/store"},
	"registry/promotion":     {"registry", "registry/store", "sign", "policy", "policy/reports"},
	"registry/promotionhttp": {"registry/promotion", "registry"},
	"registry/access":        {"registry", "registry/store", "registry/promotion"},
	"registry/imagecopy":     {"registry"},
	"registry/ocilayout":     {"registry"},
	"registry/hcp":           {"registry/promotion", "registry"},
	"registry/dashboard":     {"registry/promotion", "registry"},
	"registry/hclfile":       {},

	"registry/promotion/trustfile": {"registry/promotion", "registry", "registry/hclfile", "sign"},

	"bake":              {"layers", "registry", "sign", "bake/template", "bake/debian", "bake/sandbox", "bake/dockerfile"},
	"bake/template":     {"layers", "bake/dockerfile"},
	"bake/dockerfile":   {"layers"},
	"bake/debian":       {"layers"},
	"bake/sandbox":      {"layers"},
	"bake/packerplugin": {"bake", "templates"},
}

// owners are the libraries that these packages alone may import.
var owners = map[string][]string{
	"github.com/sigstore/":                   {"sign"},
	"github.com/digitorus/":                  {"sign"},
	"github.com/hashicorp/vault/":            {"sign"},
	"github.com/open-policy-agent/":          {"policy"},
	"github.com/zricethezav/gitleaks/":       {"policy/secrets"},
	"github.com/hashicorp/packer-plugin-sdk": {"bake/packerplugin"},
	"github.com/hashicorp/hcl/":              {"bake/template", "registry/hclfile", "registry/promotion/trustfile"},
	"github.com/minio/minio-go/":             {"registry/store/s3store"},
	"github.com/coreos/go-oidc/":             {"registry/access"},
	"github.com/prometheus/":                 {"cmd/kiln"},
	"go.opentelemetry.io/":                   {"cmd/kiln"},
	"github.com/spf13/cobra":                 {"cmd"},
	"github.com/moby/buildkit/":              {"bake/dockerfile"},
	"github.com/moby/patternmatcher":         {"bake/dockerfile"},
}

// dustbins are names that say nothing about what is inside.
var dustbins = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "shared", "internal"}

const maxLines = 600

// callReaders may hold a context: they put one call's behind an interface of a
// library that has none, and live as long as that call. So may readers, whose
// names say that they are.
var callReaders = []string{"storedImage", "storeLayer"}

// sourceFile is a Go file of the module.
type sourceFile struct {
	name string // relative to the module, slash-separated
	pkg  string // its folder
	data []byte
	ast  *ast.File
}

func (f sourceFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func sources(t *testing.T) []sourceFile {
	t.Helper()
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	var list []sourceFile
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") && p != root)):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(p, ".go"):
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f := sourceFile{name: filepath.ToSlash(rel)}
		f.pkg = path.Dir(f.name)
		if f.data, err = os.ReadFile(p); err != nil {
			return err
		}
		f.ast, err = parser.ParseFile(token.NewFileSet(), p, f.data, parser.ParseComments)
		list = append(list, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 50 {
		t.Fatalf("found only %d files", len(list))
	}
	return list
}

// rule is the nearest package with a rule, at or above pkg.
func rule(pkg string) (string, bool) {
	for p := pkg; p != "."; p = path.Dir(p) {
		if _, ok := imports[p]; ok {
			return p, true
		}
	}
	return "", false
}

func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// mayImport says whether a package may import another of ours.
func mayImport(pkg, other string) bool {
	if within(pkg, "cmd") {
		return !within(other, "cmd")
	}
	r, ok := rule(pkg)
	if !ok {
		return false
	}
	if target, ok := rule(other); ok && target == r {
		return within(pkg, other)
	}
	return slices.Contains(imports[r], other)
}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		if f.isTest() {
			continue
		}
		if _, ok := rule(f.pkg); !ok && !within(f.pkg, "cmd") {
			t.Errorf("%s: package %s has no place in the table of imports", f.name, f.pkg)
		}
		for _, spec := range f.ast.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if other, ours := strings.CutPrefix(p, module+"/"); ours && !mayImport(f.pkg, other) {
				t.Errorf("%s: %s may not import %s", f.name, f.pkg, other)
			}
			for prefix, owners := range owners {
				if strings.HasPrefix(p, prefix) && !slices.ContainsFunc(owners, func(o string) bool { return within(f.pkg, o) }) {
					t.Errorf("%s: only %s may import %s", f.name, strings.Join(owners, " and "), p)
				}
			}
		}
	}
}

func TestImportRulesBite(t *testing.T) {
	for _, c := range []struct {
		pkg, other string
		want       bool
	}{
		{"cmd/kiln", "bake", true},
		{"bake", "layers", true},
		{"bake/debian", "layers", true},
		{"bake/debian", "bake/template", false},
		{"bake/debian", "bake", false},
		{"bake", "policy", false},
		{"layers", "registry", false},
		{"registry", "registry/store", false},
		{"registry/store", "registry", false},
		{"registry/store/filestore", "registry/store", true},
		{"registry/store/filestore", "registry", false},
		{"registry/store/filestore", "registry/store/s3store", false},
		{"registry/store", "registry/store/filestore", false},
		{"registry/promotion", "bake", false},
		{"registry/promotion", "registry/hclfile", false},
		{"registry/promotion/trustfile", "registry/hclfile", true},
		{"registry/promotionhttp", "registry/store", false},
		{"registry/ociserver", "registry/contentstore", false},
		{"policy", "sign", false},
		{"layers", "cmd/kiln", false},
		{"elsewhere", "layers", false},
	} {
		if got := mayImport(c.pkg, c.other); got != c.want {
			t.Errorf("%s imports %s: got %v", c.pkg, c.other, got)
		}
	}
}

// House rules that a reader would otherwise have to remember.
func TestHouse(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range sources(t) {
		if lines := bytes.Count(f.data, []byte("\n")); lines > maxLines {
			t.Errorf("%s has %d lines, at most %d are readable", f.name, lines, maxLines)
		}
		if slices.Contains(dustbins, path.Base(f.pkg)) {
			t.Errorf("%s: a package is named after what is in it, not %s", f.name, path.Base(f.pkg))
		}
		if f.isTest() {
			continue
		}
		documented[f.pkg] = documented[f.pkg] || f.ast.Doc != nil
		for _, problem := range houseProblems(f.ast) {
			t.Errorf("%s: %s", f.name, problem)
		}
	}
	var packages []string
	for pkg := range documented {
		packages = append(packages, pkg)
	}
	sort.Strings(packages)
	for _, pkg := range packages {
		if !documented[pkg] {
			t.Errorf("package %s has no doc comment", pkg)
		}
	}
}

// houseProblems are hidden set-up, stored contexts and names without a comment.
func houseProblems(file *ast.File) []string {
	var list []string
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == "init" && d.Recv == nil {
				list = append(list, "func init registers something behind the reader's back")
			}
			if d.Name.IsExported() && d.Doc == nil && d.Recv == nil {
				list = append(list, "func "+d.Name.Name+" has no doc comment")
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.IsExported() && d.Doc == nil && ts.Doc == nil && ts.Comment == nil {
					list = append(list, "type "+ts.Name.Name+" has no doc comment")
				}
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		ts, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		isReader := strings.HasSuffix(ts.Name.Name, "Reader") || slices.Contains(callReaders, ts.Name.Name)
		isContext := strings.HasSuffix(ts.Name.Name, "Context") // itself, around another
		if s, ok := ts.Type.(*ast.StructType); ok && holdsContext(s) && (ts.Name.IsExported() || !isReader && !isContext) {
			list = append(list, "type "+ts.Name.Name+" stores a context")
		}
		return true
	})
	return list
}

func holdsContext(s *ast.StructType) bool {
	return slices.ContainsFunc(s.Fields.List, func(f *ast.Field) bool {
		sel, ok := f.Type.(*ast.SelectorExpr)
		if !ok || sel.Sel.Name != "Context" {
			return false
		}
		x, ok := sel.X.(*ast.Ident)
		return ok && x.Name == "context"
	})
}

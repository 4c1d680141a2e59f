package bake

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
)

// goContents is a program that the host's Go builds of a module in the
// template's folder. The key is what the module holds and how it is built, so
// that an unchanged program starts no compiler.
func (b *Builder) goContents(ctx context.Context, recipe *template.Image, g *template.Go) (contents, error) {
	version := ""
	if b.Lock != nil {
		version = b.Lock.Images[recipe.LockName()].Go
	}
	if version == "" {
		return contents{}, errors.New("kiln.lock has no version of Go (run kiln lock)")
	}
	module, err := b.copyContents(g.Module())
	if err != nil {
		return contents{}, err
	}
	target, err := platform(recipe)
	if err != nil {
		return contents{}, err
	}
	p := program{Go: g, version: version, platform: target, module: treeSum(module.items), files: map[string]bool{}}
	for _, it := range module.items {
		p.files[strings.TrimPrefix(it.Target, "/")] = true
	}
	made, err := b.program(ctx, p)
	if err != nil {
		return contents{}, err
	}
	made.Target, made.Mode, made.UID, made.GID = g.Target, g.Mode, g.UID, g.GID
	made.Open = func() (io.ReadCloser, error) { return openHashed(b.cache.fetchedPath(made.SHA256), made.SHA256) }
	return contents{
		items: []item{made},
		inputs: []Input{{Dependency: Dependency{
			Name: "go", URI: fmt.Sprintf("go:%s?toolchain=%s&platform=%s", path.Join(g.Dir, g.Package), version, target),
			Digest: map[string]string{"sha256": p.module},
		}}},
		load: func(ctx context.Context, _ string) error {
			if b.cache.hasFetched(made.SHA256) {
				return nil
			}
			again, err := b.compile(ctx, p)
			if err == nil && again.SHA256 != made.SHA256 {
				err = fmt.Errorf("%s is another program than before: %s, was %s", g.Package, again.SHA256, made.SHA256)
			}
			return err
		},
	}, nil
}

// program is all that decides on the bytes of a program.
type program struct {
	*template.Go
	version  string
	platform v1.Platform
	module   string // sum of its files
	files    map[string]bool
}

// settings choose how Go compiles. Every one that has a default that a host
// may change is here.
func (p program) settings() map[string]string {
	env := map[string]string{
		"CGO_ENABLED": "0", "GOOS": p.platform.OS, "GOARCH": p.platform.Architecture,
		"GOAMD64": "v1", "GOARM64": "v8.0", "GOARM": "7", "GO386": "sse2", "GOMIPS": "hardfloat",
		"GOMIPS64": "hardfloat", "GOPPC64": "power8", "GORISCV64": "rva20u64", "GOEXPERIMENT": "", "GOFIPS140": "off",
	}
	maps.Copy(env, p.Env)
	return env
}

// program finds a program in the cache by its inputs, or builds it.
func (b *Builder) program(ctx context.Context, p program) (item, error) {
	k := key("go", p.version, p.module, p.settings(), p.Package, p.LDFlags, p.Tags) + ".json"
	var made item
	if b.cache.load(&made, "places", k) {
		return made, nil
	}
	if b.planning {
		return item{}, errMiss
	}
	made, err := b.compile(ctx, p)
	if err != nil {
		return item{}, err
	}
	return made, b.cache.save(made, "places", k)
}

// compile runs the host's Go and puts the program into the cache, by its hash.
func (b *Builder) compile(ctx context.Context, p program) (item, error) {
	have, err := hostGo(ctx)
	if err != nil {
		return item{}, err
	}
	if have != p.version {
		return item{}, fmt.Errorf("kiln.lock says %s, this host has %s: another version makes other programs (install %s, or run kiln lock --update)", p.version, have, p.version)
	}
	dir, done, err := b.cache.tempDir("go")
	if err != nil {
		return item{}, err
	}
	defer done()
	env, err := goEnv(ctx, p.settings())
	if err != nil {
		return item{}, err
	}
	module := filepath.Join(p.Root, filepath.FromSlash(p.Dir))
	if err := ownModule(ctx, module, p, env); err != nil {
		return item{}, err
	}
	out := filepath.Join(dir, "program")
	args := []string{
		"build", "-trimpath", "-buildvcs=false", "-ldflags=" + strings.TrimSpace("-s -w -buildid= "+p.LDFlags), "-o", out,
	}
	if len(p.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(p.Tags, ","))
	}
	if _, err := runGo(ctx, module, env, append(args, p.Package)...); err != nil {
		return item{}, err
	}
	return b.keepProgram(out)
}

func (b *Builder) keepProgram(file string) (item, error) {
	info, err := os.Stat(file)
	if err != nil {
		return item{}, fmt.Errorf("the package is no program: %w", err)
	}
	if info.IsDir() || info.Mode()&0o100 == 0 {
		return item{}, errors.New("the package is no program (its package must be main)")
	}
	f, err := os.Open(file)
	if err != nil {
		return item{}, err
	}
	defer f.Close()
	sum, err := hashOf(f)
	if err != nil {
		return item{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return item{}, err
	}
	if _, err := b.cache.keepFetched(f, sum); err != nil {
		return item{}, err
	}
	return item{Kind: tar.TypeReg, Size: info.Size(), SHA256: sum}, nil
}

// ownModule refuses packages from folders that are neither the module's, and so
// in the key, nor pinned by go.sum; and files of the module that the step
// excludes, and go build takes all the same.
func ownModule(ctx context.Context, module string, p program, env []string) error {
	args := []string{"list", "-deps", "-json=Dir,Standard,Module,GoFiles,SFiles,HFiles,SysoFiles,EmbedFiles"}
	if len(p.Tags) > 0 {
		args = append(args, "-tags="+strings.Join(p.Tags, ","))
	}
	out, err := runGo(ctx, module, env, append(args, p.Package)...)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(module)
	if err != nil {
		return err
	}
	for _, name := range []string{"go.mod", "go.sum", "vendor/modules.txt"} {
		if _, err := os.Stat(filepath.Join(real, name)); err == nil && !p.files[name] {
			return leftOutError(name)
		}
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var pkg goPackage
		if err := dec.Decode(&pkg); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("go list: %w", err)
		}
		if err := pkg.own(real, module, p.files); err != nil {
			return err
		}
	}
}

// goPackage is what go list says of a package.
type goPackage struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path    string
		Main    bool
		Replace *struct{ Path, Version string }
	}
	GoFiles, SFiles, HFiles, SysoFiles, EmbedFiles []string
}

// own says what of a package is in no key. The module's folder has two names
// where a symlink leads to it.
func (pkg goPackage) own(real, module string, files map[string]bool) error {
	dir := real
	if !within(real, pkg.Dir) {
		dir = module
	}
	m := pkg.Module
	switch {
	case pkg.Standard:
		return nil
	case within(dir, pkg.Dir):
	case m != nil && !m.Main && m.Replace != nil && m.Replace.Version == "":
		return fmt.Errorf("%s is replaced by %s, outside the module's folder (move it into the module, or run go mod vendor)", m.Path, m.Replace.Path)
	default:
		return nil
	}
	for _, name := range slices.Concat(pkg.GoFiles, pkg.SFiles, pkg.HFiles, pkg.SysoFiles, pkg.EmbedFiles) {
		rel, err := filepath.Rel(dir, filepath.Join(pkg.Dir, name))
		if err != nil {
			return err
		}
		if !files[filepath.ToSlash(rel)] {
			return leftOutError(rel)
		}
	}
	return nil
}

// leftOutError is about a file that decides on the program and is in no key.
func leftOutError(name string) error {
	return fmt.Errorf("exclude leaves out %s, which go build reads: a change of it would not be seen (take it out of exclude)", name)
}

// within tells whether a path is a folder or lies below it.
func within(folder, p string) bool {
	rel, err := filepath.Rel(folder, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// sortedEnv is KEY=value of settings.
func sortedEnv(settings map[string]string) []string {
	var list []string
	for _, k := range slices.Sorted(maps.Keys(settings)) {
		list = append(list, k+"="+settings[k])
	}
	return list
}

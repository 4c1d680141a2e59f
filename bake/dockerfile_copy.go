package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"kiln/bake/dockerfile"
)

// fileTree is what a COPY takes files from: the build context, or an image.
type fileTree interface {
	// under lists what lies at a path, relative and clean, and below it. Targets
	// are relative to it, "." first. A symlink at the path is followed. Nothing
	// there is fs.ErrNotExist.
	under(ctx context.Context, rel string) ([]item, error)
}

// copy does a COPY or an ADD.
func (d *docker) copy(ctx context.Context, st *state, name string, c *dockerfile.Copy) (StepResult, error) {
	uid, gid, err := d.owner(ctx, st, c.Owner)
	if err != nil {
		return StepResult{}, err
	}
	tree, err := d.tree(ctx, c.From)
	if err != nil {
		return StepResult{}, err
	}
	leftOut, err := dockerfile.NewIgnore(c.Exclude)
	if err != nil {
		return StepResult{}, fmt.Errorf("--exclude: %w", err)
	}
	g := &gathering{docker: d, copy: c, tree: tree, leftOut: leftOut, uid: uid, gid: gid}
	defer g.close()
	for _, src := range c.Sources {
		if err := g.add(ctx, src); err != nil {
			return StepResult{}, err
		}
	}
	for _, in := range c.Contents {
		g.inline(in)
	}
	return d.landSources(ctx, st, name, c.Dest, g.sources, uid, gid)
}

// tree is what --from means.
func (d *docker) tree(ctx context.Context, from dockerfile.Source) (fileTree, error) {
	switch {
	case from.Stage != nil:
		img, err := d.stage(ctx, from.Stage)
		return imageTree{d.Builder, img, "stage " + from.Stage.Name}, err
	case from.Image != "":
		img, err := d.image(ctx, from.Image, "")
		if err != nil {
			return nil, err
		}
		return imageTree{d.Builder, img.Image, from.Image}, nil
	}
	if d.context == nil {
		files, err := d.def.Files()
		if err != nil {
			return nil, err
		}
		folder := filepath.Join(d.def.Root, d.def.Context) + " of " + d.def.Path
		d.context = newContextTree(files, d.cache.statSums(folder))
	}
	return d.context, nil
}

// gathering collects the sources of one COPY.
type gathering struct {
	*docker
	copy     *dockerfile.Copy
	tree     fileTree
	leftOut  *dockerfile.Ignore
	uid, gid int
	sources  []dockerSource
	cleanup  []func()
}

func (g *gathering) close() {
	for _, done := range g.cleanup {
		done()
	}
}

// add finds a source as it is written.
func (g *gathering) add(ctx context.Context, src string) error {
	if g.copy.Add && (dockerfile.IsURL(src) || dockerfile.IsGit(src)) {
		return g.remote(ctx, src)
	}
	if g.copy.Parents {
		return g.parents(ctx, src)
	}
	rel := relative(src)
	names := []string{rel}
	wild := hasWildcard(src)
	if wild {
		var err error
		if names, err = glob(ctx, g.tree, rel); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := g.one(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// one adds the file or folder at a path of the tree.
func (g *gathering) one(ctx context.Context, rel string) error {
	items, err := g.tree.under(ctx, rel)
	if err != nil {
		return g.missing(rel, err)
	}
	name := path.Base(rel)
	if !items[0].isDir() {
		out, err := g.leftOut.Out(name, false)
		if err != nil || out {
			return err
		}
	}
	if g.copy.Unpack && g.copy.From == (dockerfile.Source{}) && items[0].Kind == tar.TypeReg {
		done, err := g.unpack(ctx, rel, items[0])
		if err != nil || done {
			return err
		}
	}
	kept, err := g.kept(items)
	g.sources = append(g.sources, dockerSource{Name: name, Items: kept})
	return err
}

// kept leaves out what --exclude says, and sets modes and owners.
func (g *gathering) kept(items []item) ([]item, error) {
	list := make([]item, 0, len(items))
	for _, it := range items {
		out, err := g.leftOut.Out(it.Target, it.isDir())
		if err != nil {
			return nil, err
		}
		if !out {
			list = append(list, g.settle(it))
		}
	}
	return list, nil
}

// settle gives an item the owner of --chown and the mode of --chmod.
func (g *gathering) settle(it item) item {
	if g.copy.Owner != "" {
		it.UID, it.GID = g.uid, g.gid
	}
	if mode, err := strconv.ParseUint(g.copy.Mode, 8, 32); err == nil && it.Kind != tar.TypeSymlink {
		it.Mode = uint32(mode)
	}
	return it
}

// parents adds what a pattern of COPY --parents matches, under its own path
// below the point that /./ marks.
func (g *gathering) parents(ctx context.Context, src string) error {
	pivot, pattern, marked := strings.Cut(src, "/./")
	if !marked {
		pivot, pattern = "/", src
	}
	base, pattern := relative(pivot), relative(pattern)
	names := []string{pattern}
	if hasWildcard(src) {
		all, err := g.tree.under(ctx, base)
		if err != nil {
			return g.missing(base, err)
		}
		if names, err = matches(all, pattern); err != nil {
			return err
		}
	}
	root := dockerSource{Name: ".", Items: []item{{Target: ".", Kind: tar.TypeDir, Mode: 0o755}}, Spread: false}
	made := map[string]bool{".": true}
	for _, name := range names {
		items, err := g.tree.under(ctx, path.Join(base, name))
		if err != nil {
			return g.missing(path.Join(base, name), err)
		}
		if items, err = g.kept(items); err != nil {
			return err
		}
		root.Items = append(root.Items, g.above(name, made)...)
		for _, it := range items {
			it.Target = path.Join(name, it.Target)
			if !it.isDir() || !made[it.Target] {
				root.Items = append(root.Items, it)
			}
			made[it.Target] = made[it.Target] || it.isDir()
		}
	}
	g.sources = append(g.sources, root)
	return nil
}

// above are the folders above a path that were not made yet.
func (g *gathering) above(name string, made map[string]bool) []item {
	var list []item
	for i, c := range name {
		if c == '/' && !made[name[:i]] {
			made[name[:i]] = true
			list = append(list, g.settle(item{Target: name[:i], Kind: tar.TypeDir, Mode: 0o755}))
		}
	}
	return list
}

// inline adds a file that stands in the Dockerfile.
func (g *gathering) inline(in dockerfile.Inline) {
	g.sources = append(g.sources, dockerSource{Name: path.Base(path.Join("/", in.Path)), Items: []item{g.settle(inlineItem(in))}})
}

func inlineItem(in dockerfile.Inline) item {
	sum := sha256.Sum256([]byte(in.Data))
	return item{
		Target: ".", Kind: tar.TypeReg, Mode: 0o644, Size: int64(len(in.Data)), SHA256: hex.EncodeToString(sum[:]),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(in.Data)), nil },
	}
}

// missing says what a source that is not there may be.
func (g *gathering) missing(rel string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if g.copy.From != (dockerfile.Source{}) {
		return fmt.Errorf("%s of --from does not exist: %w", "/"+rel, err)
	}
	return fmt.Errorf("%q does not exist in the build context %q, or its ignore file leaves it out (run your build first?)", rel, g.def.Context)
}

// relative is a source below its root, clean.
func relative(src string) string {
	rel := strings.TrimPrefix(path.Clean("/"+src), "/")
	if rel == "" {
		return "."
	}
	return rel
}

func hasWildcard(name string) bool {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '*', '?', '[':
			return true
		case '\\':
			i++
		}
	}
	return false
}

// glob lists what a pattern matches, in byte order; nothing is no error, as in
// BuildKit.
func glob(ctx context.Context, tree fileTree, pattern string) ([]string, error) {
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("source %q: %w", pattern, err)
	}
	parts := strings.Split(pattern, "/")
	n := 0
	for n < len(parts)-1 && !hasWildcard(parts[n]) && !strings.Contains(parts[n], `\`) {
		n++
	}
	dir := path.Join(parts[:n]...)
	if dir == "" {
		dir = "."
	}
	all, err := tree.under(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := matches(all, path.Join(parts[n:]...))
	for i := range names {
		names[i] = path.Join(dir, names[i])
	}
	return names, err
}

// matches are the items whose path a pattern matches: a star does not reach
// over a slash.
func matches(items []item, pattern string) ([]string, error) {
	var names []string
	for _, it := range items {
		ok, err := path.Match(pattern, it.Target)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", pattern, err)
		}
		if ok && it.Target != "." {
			names = append(names, it.Target)
		}
	}
	return names, nil
}

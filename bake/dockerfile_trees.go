package bake

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/bake/template"
)

// imageTree is a stage, or an image, as a source of files.
type imageTree struct {
	builder *Builder
	image   v1.Image
	name    string
}

// under implements fileTree.
func (t imageTree) under(ctx context.Context, rel string) ([]item, error) {
	if t.image == nil {
		return nil, fmt.Errorf("%s is empty: %w", t.name, fs.ErrNotExist)
	}
	items, err := t.builder.filesOf(ctx, t.image, path.Join("/", rel))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return items, nil
}

// contextTree is the build context as a source of files.
type contextTree struct {
	files []template.File
	at    map[string]int // by path relative to the context
	sums  *statSums
}

func newContextTree(files []template.File, sums *statSums) *contextTree {
	t := &contextTree{files: files, at: map[string]int{}, sums: sums}
	for i, f := range files {
		t.at[f.Rel] = i
	}
	return t
}

// under implements fileTree. A symlink that leads out of the context leads
// nowhere.
func (t *contextTree) under(_ context.Context, rel string) ([]item, error) {
	rel, err := t.follow(rel)
	if err != nil {
		return nil, err
	}
	files, targets := []template.File{t.files[t.at[rel]]}, []string{"."}
	for _, f := range t.files {
		switch below, ok := strings.CutPrefix(f.Rel, rel+"/"); {
		case f.Rel == rel:
		case ok:
			files, targets = append(files, f), append(targets, below)
		case rel == ".":
			files, targets = append(files, f), append(targets, f.Rel)
		}
	}
	sums, err := t.sums.hashAll(files)
	if err != nil {
		return nil, err
	}
	items := make([]item, len(files))
	for i, f := range files {
		items[i] = item{Source: f.Rel, Target: targets[i], Kind: kindOf(f), Mode: f.Mode, Link: f.Link}
		if items[i].Kind == tar.TypeReg {
			items[i].Size, items[i].SHA256 = f.Info.Size(), sums[i]
			items[i].Open = func() (io.ReadCloser, error) { return openUnchanged(f, sums[i]) }
		}
	}
	return items, nil
}

// follow finds a path in the context, through symlinks.
func (t *contextTree) follow(rel string) (string, error) {
	todo := strings.Split(rel, "/")
	at := "."
	for links := 0; len(todo) > 0; {
		name := todo[0]
		todo = todo[1:]
		next := strings.TrimPrefix(path.Join("/", at, name), "/")
		if next == "" {
			next = "."
		}
		i, ok := t.at[next]
		if !ok {
			return "", fs.ErrNotExist
		}
		f := t.files[i]
		if kindOf(f) != tar.TypeSymlink {
			at = next
			continue
		}
		if links++; links > 40 {
			return "", fmt.Errorf("%q in the build context: too many symlinks", rel)
		}
		if path.IsAbs(f.Link) {
			at = "."
		}
		todo = append(strings.Split(strings.Trim(path.Clean(f.Link), "/"), "/"), todo...)
	}
	return at, nil
}

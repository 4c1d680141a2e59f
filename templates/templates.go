// Package templates holds the projects that `kiln init` writes: each one bakes
// at once, tests itself over HTTP, and is meant to be changed.
package templates

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed all:debian-java all:debian-node all:debian-python all:static-go
var files embed.FS

// Default is the template for those who name none.
const Default = "debian-node"

// suffix hides files from the Go tool here; Write takes it off.
const suffix = ".tmpl"

// ErrUnknown is the cause when there is no template of a name.
var ErrUnknown = errors.New("unknown template")

// Names are the templates, sorted.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the embedded root is always there
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Files are the files of a template, slash-separated and sorted.
func Files(name string) ([]string, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("%w %q: there are %s", ErrUnknown, name, strings.Join(Names(), ", "))
	}
	var list []string
	err := fs.WalkDir(files, name, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			list = append(list, strings.TrimSuffix(strings.TrimPrefix(p, name+"/"), suffix))
		}
		return err
	})
	slices.Sort(list)
	return list, err
}

// Write writes a template into dir, which is made, or must be empty. What the
// template bakes but cannot ship, a compiled program, is built with the host's
// tools; talk hears about that. After an error dir is as it was before.
func Write(ctx context.Context, dir, name string, talk io.Writer) (err error) {
	list, err := Files(name)
	if err != nil {
		return err
	}
	build, err := builder(name)
	if err != nil {
		return err
	}
	made, err := emptyFolder(dir)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			clear(dir, made)
		}
	}()
	for _, file := range list {
		if err := writeFile(dir, name, file); err != nil {
			return fmt.Errorf("write template %s: %w", name, err)
		}
	}
	return build(ctx, dir, talk)
}

// emptyFolder makes dir, or sees that it is empty; made says which.
func emptyFolder(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, os.MkdirAll(dir, 0o755)
	case err != nil:
		return false, fmt.Errorf("write template: %w", err)
	case len(entries) > 0:
		return false, fmt.Errorf("write template: %s is not empty: name a new folder", dir)
	}
	return false, nil
}

// clear undoes what Write did to a folder that held nothing.
func clear(dir string, made bool) {
	if made {
		os.RemoveAll(dir)
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}

func writeFile(dir, name, file string) error {
	data, err := files.ReadFile(name + "/" + file)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = files.ReadFile(name + "/" + file + suffix)
	}
	if err != nil {
		return err
	}
	if file == "kiln.hcl" {
		data = named(data, dir)
	}
	target := filepath.Join(dir, filepath.FromSlash(file))
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"kiln/bake/template"
	"kiln/layers"
)

// copied is one file of a copy step: where it lands and what it must hold.
type copied struct {
	Path   string // in the image, resolved
	Kind   byte   // tar type flag
	Mode   uint32
	Link   string
	Size   int64
	SHA256 string
	Owned  bool // by the step's owner; else by root: a folder nobody named
	file   template.File
}

// copyStep makes a layer of files of the template's folder. Its content does
// not depend on what lies below, but for where symlinks there lead.
func (b *Builder) copyStep(ctx context.Context, st *state, name string, c *template.Copy) (StepResult, error) {
	below, err := b.imageIndex(ctx, st.below)
	if err != nil {
		return StepResult{}, err
	}
	files, err := b.listCopy(c, below)
	if err != nil {
		return StepResult{}, err
	}
	mtime := b.made()
	if c.ModTime != nil {
		mtime = *c.ModTime
	}
	k := key("copy", b.encoder, files, c.UID, c.GID, mtime.Unix())
	return b.cached(ctx, name, k, func(string) ([]layers.Entry, error) {
		entries := make([]layers.Entry, 0, len(files))
		for _, f := range files {
			e := layers.Entry{Path: f.Path, Type: f.Kind, Mode: f.Mode, Size: f.Size, Link: f.Link, ModTime: mtime}
			if f.Owned {
				e.UID, e.GID = c.UID, c.GID
			}
			if f.Kind == tar.TypeReg {
				e.Open = func() (io.ReadCloser, error) { return openUnchanged(f.file, f.SHA256) }
			}
			entries = append(entries, e)
		}
		return entries, nil
	})
}

// listCopy resolves a copy step against what lies below it, and hashes the
// files.
func (b *Builder) listCopy(c *template.Copy, below *layers.Index) ([]copied, error) {
	sources, err := template.Files(c)
	if err != nil {
		return nil, err
	}
	p := placer{below: below, seen: map[string]bool{}}
	for _, f := range sources {
		if err := p.place(c, f, path.Join(c.Target, f.Rel)); err != nil {
			return nil, err
		}
	}
	return p.files, nil
}

// placer puts files into an image's tree.
type placer struct {
	below *layers.Index
	seen  map[string]bool
	files []copied
}

// place adds f at target, and the folders above it that the image lacks. A
// folder that is there, the root above all, keeps its owner and mode.
func (p *placer) place(c *template.Copy, f template.File, target string) error {
	entry, err := describe(f)
	if err != nil {
		return err
	}
	if target == "/" && entry.Kind == tar.TypeDir {
		return nil
	}
	if entry.Path, err = p.below.Place(strings.TrimPrefix(target, "/"), entry.Kind); err != nil {
		return fmt.Errorf("copy to %s: %w", target, err)
	}
	if _, there := p.below.Node(entry.Path); there && entry.Kind == tar.TypeDir {
		return nil
	}
	p.parents(path.Dir(entry.Path))
	p.add(entry)
	return nil
}

// parents declares the folders that neither the image nor this layer has.
func (p *placer) parents(dir string) {
	if dir == "." || p.seen[dir] {
		return
	}
	if _, there := p.below.Node(dir); there {
		return
	}
	p.parents(path.Dir(dir))
	p.add(copied{Path: dir, Kind: tar.TypeDir, Mode: 0o755})
}

func (p *placer) add(f copied) {
	if f.Path == "" || p.seen[f.Path] {
		return
	}
	p.seen[f.Path] = true
	p.files = append(p.files, f)
}

// describe reads what a source file is and hashes its content.
func describe(f template.File) (copied, error) {
	e := copied{Owned: true, file: f, Mode: f.Mode, Link: f.Link}
	switch mode := f.Info.Mode(); {
	case mode.IsDir():
		e.Kind = tar.TypeDir
	case mode&fs.ModeSymlink != 0:
		e.Kind = tar.TypeSymlink
	default:
		e.Kind, e.Size = tar.TypeReg, f.Info.Size()
		sum, err := hashFile(f)
		if err != nil {
			return copied{}, err
		}
		e.SHA256 = sum
	}
	return e, nil
}

func hashFile(file template.File) (string, error) {
	f, err := file.Open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// openUnchanged reads a file that must still be what was hashed.
func openUnchanged(file template.File, want string) (io.ReadCloser, error) {
	f, err := file.Open()
	if err != nil {
		return nil, err
	}
	return &unchanged{ReadCloser: f, name: file.Rel, hash: sha256.New(), want: want}, nil
}

// always gives every path the same time.
func (b *Builder) always(t time.Time) func(string, fs.FileInfo) time.Time {
	return func(string, fs.FileInfo) time.Time { return t }
}

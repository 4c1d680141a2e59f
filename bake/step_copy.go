package bake

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"time"

	"kiln/bake/template"
	"kiln/layers"
)

// copied is one entry of a copy layer: where it lands and what it must hold.
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
	sources, err := template.Files(c)
	if err != nil {
		return StepResult{}, err
	}
	places, err := b.places(ctx, st, c, sources)
	if err != nil {
		return StepResult{}, err
	}
	files, err := describeAll(places, sources)
	if err != nil {
		return StepResult{}, err
	}
	input, err := copyInput(c, files)
	if err != nil {
		return StepResult{}, err
	}
	st.result.Inputs = append(st.result.Inputs, input)
	mtime := b.made()
	if c.ModTime != nil {
		mtime = *c.ModTime
	}
	k := key("copy", b.encoder, files, c.UID, c.GID, mtime.Unix())
	return b.cached(ctx, ContentStep, name, k, func(string) ([]layers.Entry, error) {
		entries := make([]layers.Entry, len(files))
		for i, f := range files {
			entries[i] = f.entry(c, mtime)
		}
		return entries, nil
	})
}

// entry is f as the layer has it.
func (f copied) entry(c *template.Copy, mtime time.Time) layers.Entry {
	e := layers.Entry{Path: f.Path, Type: f.Kind, Mode: f.Mode, Size: f.Size, Link: f.Link, ModTime: mtime}
	if f.Owned {
		e.UID, e.GID = c.UID, c.GID
	}
	if f.Kind == tar.TypeReg {
		e.Open = func() (io.ReadCloser, error) { return openUnchanged(f.file, f.SHA256) }
	}
	return e
}

// describeAll reads what the source files are and hashes their content.
func describeAll(places []placed, sources []template.File) ([]copied, error) {
	files := make([]copied, len(places))
	for i, p := range places {
		if p.Source < 0 {
			files[i] = copied{Path: p.Path, Kind: tar.TypeDir, Mode: 0o755}
			continue
		}
		f := sources[p.Source]
		e := copied{Path: p.Path, Kind: kindOf(f), Mode: f.Mode, Link: f.Link, Owned: true, file: f}
		if e.Kind == tar.TypeReg {
			e.Size = f.Info.Size()
			var err error
			if e.SHA256, err = hashFile(f); err != nil {
				return nil, err
			}
		}
		files[i] = e
	}
	return files, nil
}

// kindOf is the tar type flag of a source file.
func kindOf(f template.File) byte {
	switch mode := f.Info.Mode(); {
	case mode.IsDir():
		return tar.TypeDir
	case mode&fs.ModeSymlink != 0:
		return tar.TypeSymlink
	}
	return tar.TypeReg
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

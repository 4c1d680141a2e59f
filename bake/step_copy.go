package bake

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"time"

	"kiln/bake/template"
)

// copyContents are files of the template's folder.
func (b *Builder) copyContents(c *template.Copy) (contents, error) {
	sources, err := template.Files(c)
	if err != nil {
		return contents{}, err
	}
	sums, err := b.cache.statSums(filepath.Join(c.Root, filepath.FromSlash(c.Rel))).hashAll(sources)
	if err != nil {
		return contents{}, err
	}
	items := copyItems(c, sources, sums)
	return contents{items: items, inputs: []Input{copyInput(c, items)}}, nil
}

// copyItems are the source files, whose content has the hashes sums.
func copyItems(c *template.Copy, sources []template.File, sums []string) []item {
	items := make([]item, len(sources))
	for i, f := range sources {
		it := item{
			Source: path.Join(c.Rel, f.Rel), Target: path.Join(c.Target, f.Rel), Kind: kindOf(f), Mode: f.Mode, UID: c.UID, GID: c.GID,
			Link: f.Link, ModTime: c.ModTime,
		}
		if it.Kind == tar.TypeReg {
			it.Size, it.SHA256 = f.Info.Size(), sums[i]
			it.Open = func() (io.ReadCloser, error) { return openUnchanged(f, sums[i]) }
		}
		items[i] = it
	}
	return items
}

// copyInput describes what a copy step took: one digest over the paths, modes
// and contents of the files.
func copyInput(c *template.Copy, items []item) Input {
	return Input{Dependency: Dependency{Name: "copy", URI: "copy:" + c.Rel, Digest: map[string]string{"sha256": treeSum(items)}}}
}

// treeSum is one digest, in hex, over items: targets, modes, owners and content.
func treeSum(items []item) string {
	h := sha256.New()
	var buf []byte
	for _, it := range items {
		line := landed{
			Path: it.Target, Kind: it.Kind, Mode: it.Mode, UID: it.UID, GID: it.GID,
			Link: it.Link, Size: it.Size, SHA256: it.SHA256, Capability: it.Capability,
		}
		buf = append(line.appendJSON(buf[:0]), '\n')
		h.Write(buf)
	}
	return hex.EncodeToString(h.Sum(nil))
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

package layers

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// WriteRootfs writes what a container of img sees as one tar archive: the
// layers merged, whiteouts applied, with owners, permissions, times, hard
// links and extended attributes. A file name that ends in .gz, .tgz or .zst
// says how it is compressed. Its bytes follow from the layers and that alone;
// it appears whole or not at all.
//
// Regular files lie in a temporary file beside it meanwhile. The layers are not
// trusted: what is wrong with one is an *ArchiveError.
func WriteRootfs(ctx context.Context, file string, img v1.Image) error {
	all, err := img.Layers()
	if err != nil {
		return err
	}
	spool, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".files-*")
	if err != nil {
		return err
	}
	defer spool.Close()
	if err := os.Remove(spool.Name()); err != nil { // nobody else opens it, and nothing is left behind
		return err
	}
	m := &mergedTree{spool: spool, files: map[string]*mergedFile{}}
	for i, l := range all {
		if err := m.apply(ctx, l); err != nil {
			return fmt.Errorf("write root file system: layer %d: %w", i+1, err)
		}
	}
	sorted, err := arrange(m.entries())
	if err != nil {
		return fmt.Errorf("write root file system: %w", err)
	}
	return writeFile(file, func(w io.Writer) error {
		out, err := compressedAs(file, w)
		if err != nil {
			return err
		}
		if _, err = writeTar(ctx, out, sorted, 0); err != nil {
			return err
		}
		return out.Close()
	})
}

// compressedAs compresses to w as a file's name says.
func compressedAs(file string, w io.Writer) (io.WriteCloser, error) {
	switch path.Ext(file) {
	case ".gz", ".tgz":
		return NewCompressor(w, Gzip)
	case ".zst":
		return NewCompressor(w, Zstd)
	}
	return plainWriter{w}, nil
}

type plainWriter struct{ io.Writer }

// Close does nothing.
func (plainWriter) Close() error { return nil }

// mergedTree is a tree that layers are applied to, with the contents of its
// files in spool.
type mergedTree struct {
	spool *os.File
	end   int64
	files map[string]*mergedFile // by path; hard links share theirs
}

// mergedFile is what is at a path.
type mergedFile struct {
	Entry
	at int64 // of the content, in the spool
}

// apply puts a layer on top.
func (m *mergedTree) apply(ctx context.Context, l v1.Layer) error {
	r, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer r.Close()
	own := map[string]bool{}
	archive := newArchiveReader(ctx, r, Limits{})
	for {
		e, err := archive.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := m.entry(e, archive, own); err != nil {
			return err
		}
	}
}

// entry applies one entry of a layer, whose own paths so far are given.
func (m *mergedTree) entry(e *Entry, content io.Reader, own map[string]bool) error {
	if e.Path == "." {
		return nil
	}
	dir, err := resolve(path.Dir(e.Path)+"/x", m.link)
	if err != nil {
		return &ArchiveError{Path: e.Path, Fault: FaultConflict, Err: err}
	}
	dir = path.Dir(dir)
	p := path.Join(dir, path.Base(e.Path))
	switch target, kind := parseWhiteout(path.Base(e.Path)); kind {
	case whiteoutOpaque:
		m.removeBelow(dir, own)
		return nil
	case whiteoutFile:
		m.remove(path.Join(dir, target), own)
		return nil
	case whiteoutBad:
		return archiveErrorf(e.Path, FaultPath, "whiteout of %q", target)
	case whiteoutOther:
		return nil
	}
	m.imply(dir, own)
	own[p] = true
	if e.Type == tar.TypeLink {
		return m.hardLink(e, p)
	}
	if old := m.files[p]; old != nil && old.Type == tar.TypeDir && e.Type != tar.TypeDir {
		m.removeBelow(p, nil)
	}
	f := &mergedFile{Entry: *e, at: m.end}
	f.Path = p
	m.files[p] = f
	if e.Type != tar.TypeReg {
		return nil
	}
	size, err := io.Copy(m.spool, content)
	m.end += size
	return err
}

// link is what resolve asks for.
func (m *mergedTree) link(p string) (string, error) {
	switch f := m.files[p]; {
	case f == nil || f.Type == tar.TypeDir:
		return "", nil
	case f.Type == tar.TypeSymlink:
		return f.Link, nil
	}
	return "", ErrNotADir
}

// hardLink makes p the file that the entry names.
func (m *mergedTree) hardLink(e *Entry, p string) error {
	target, err := resolve(e.Link, m.link)
	if err != nil {
		return &ArchiveError{Path: e.Path, Fault: FaultConflict, Err: err}
	}
	f := m.files[target]
	if f == nil || f.Type == tar.TypeDir {
		return archiveErrorf(e.Path, FaultConflict, "hard link to %q, which is no file", e.Link)
	}
	if old := m.files[p]; old != nil && old.Type == tar.TypeDir {
		m.removeBelow(p, nil)
	}
	m.files[p] = f
	return nil
}

// imply makes the folders above an entry that nothing declares.
func (m *mergedTree) imply(dir string, own map[string]bool) {
	for ; dir != "."; dir = path.Dir(dir) {
		own[dir] = true
		if m.files[dir] == nil {
			m.files[dir] = &mergedFile{Entry: Entry{Path: dir, Type: tar.TypeDir, Mode: 0o755, ModTime: Epoch()}}
		}
	}
}

// remove removes a path but for what the layer itself brought.
func (m *mergedTree) remove(p string, own map[string]bool) {
	if !own[p] {
		delete(m.files, p)
	}
	m.removeBelow(p, own)
}

func (m *mergedTree) removeBelow(dir string, own map[string]bool) {
	for p := range m.files {
		if (dir == "." || strings.HasPrefix(p, dir+"/")) && !own[p] {
			delete(m.files, p)
		}
	}
}

// entries lists the tree; of hard links all but one are links to that.
func (m *mergedTree) entries() []Entry {
	list := make([]Entry, 0, len(m.files))
	first := map[*mergedFile]string{}
	for p, f := range m.files {
		if have, ok := first[f]; !ok || ComparePaths(p, have) < 0 {
			first[f] = p
		}
	}
	for p, f := range m.files {
		e := f.Entry
		e.Path = p
		switch {
		case first[f] != p:
			e = Entry{Path: p, Type: tar.TypeLink, Link: first[f], Mode: e.Mode, ModTime: e.ModTime}
		case e.Type == tar.TypeReg:
			e.Open = func() (io.ReadCloser, error) {
				return io.NopCloser(io.NewSectionReader(m.spool, f.at, f.Size)), nil
			}
		}
		list = append(list, e)
	}
	return list
}

package bake

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"kiln/layers"
)

// maxLinkText is what Linux takes (PATH_MAX).
const maxLinkText = 4096

// zip reads a zip archive (APPNOTE 6.3). Sizes that it claims are not believed.
func (a *archiveReading) zip(ctx context.Context, f *os.File, size int64) error {
	r, err := zip.NewReader(f, size)
	if err != nil {
		return &layers.ArchiveError{Fault: layers.FaultCorrupt, Err: err}
	}
	if int64(len(r.File)) > a.limits.Entries {
		return &layers.ArchiveError{Fault: layers.FaultLimit, Err: fmt.Errorf("more than %d entries", a.limits.Entries)}
	}
	for _, z := range r.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.zipEntry(z); err != nil {
			return err
		}
	}
	return nil
}

func (a *archiveReading) zipEntry(z *zip.File) error {
	name := strings.TrimSuffix(z.Name, "/")
	if err := layers.CheckPath(name); err != nil {
		return &layers.ArchiveError{Path: z.Name, Fault: layers.FaultPath, Err: err}
	}
	mode := z.Mode()
	it := item{Target: name, Kind: tar.TypeReg, Mode: uint32(mode.Perm())}
	if z.CreatorVersion>>8 != 3 { // not from Unix: there are no modes
		if it.Mode = 0o644; mode.IsDir() {
			it.Mode = 0o755
		}
	}
	switch {
	case mode.IsDir():
		it.Kind = tar.TypeDir
		a.add(it)
		return nil
	case !mode.IsRegular() && mode&fs.ModeSymlink == 0:
		return &layers.ArchiveError{Path: z.Name, Fault: layers.FaultUnsupported, Err: errors.New("is neither file, folder nor link")}
	}
	content, err := z.Open()
	if err != nil {
		return &layers.ArchiveError{Path: z.Name, Fault: layers.FaultCorrupt, Err: err}
	}
	defer content.Close()
	if mode&fs.ModeSymlink != 0 {
		it.Kind, it.Mode = tar.TypeSymlink, 0o777
		return a.symlink(it, content)
	}
	counted := &io.LimitedReader{R: content, N: a.limits.Bytes - a.bytes + 1}
	if err := a.file(it, counted); err != nil {
		return &layers.ArchiveError{Path: z.Name, Fault: layers.FaultCorrupt, Err: err}
	}
	if a.bytes += a.list[len(a.list)-1].Size; a.bytes > a.limits.Bytes {
		return &layers.ArchiveError{Path: z.Name, Fault: layers.FaultLimit, Err: errors.New("more bytes than allowed")}
	}
	return nil
}

// symlink adds a link whose content is its text.
func (a *archiveReading) symlink(it item, content io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(content, maxLinkText+1))
	if err != nil || len(text) == 0 || len(text) > maxLinkText {
		return &layers.ArchiveError{Path: it.Target, Fault: layers.FaultPath, Err: errors.New("link text is empty or too long")}
	}
	it.Link = string(text)
	a.add(it)
	return nil
}

package layers

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"
)

// ExtractOptions say how Extract unpacks.
type ExtractOptions struct {
	// Overlay writes whiteouts in overlayfs' form (character device 0:0,
	// opaque mark), so that root, empty before, can be a lower folder of an
	// overlay mount. Otherwise whiteouts remove what is in root. Where the file
	// system refuses that form, sockets without permissions and
	// user.overlay.opaque stand in, which Diff understands and no mount does.
	Overlay bool
	// UserXattr marks opaque folders by user.overlay.opaque, for mounts with
	// userxattr, instead of trusted.overlay.opaque.
	UserXattr bool
	// Lowers are, with Overlay, the folders that root will lie on, bottom
	// first. Folders that the layer only implies take their permissions, owner
	// and attributes from there, so that root does not change them.
	Lowers []string
	// SkipDevices leaves out device nodes, which user namespaces cannot make.
	SkipDevices bool
	// Limits bound what the archive may cost.
	Limits Limits
}

// Extract unpacks the uncompressed tar stream of a layer below the folder
// root, which must exist, with owners, permissions, times, attributes and hard
// links. It reads r to its end.
//
// The archive is not trusted. Paths that are absolute or hold "..", entries
// and links that lead out of root, entries below something that is no folder,
// sparse files, overlay's own marks, and what goes beyond the limits are an
// *ArchiveError; what was unpacked until then stays in root. An entry below a
// symlink goes where the link leads inside root. Nothing outside of root is
// ever touched.
func Extract(ctx context.Context, r io.Reader, root string, opts ExtractOptions) error {
	dir, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer dir.Close()
	x := &extractor{
		root:    dir,
		host:    root,
		opts:    opts,
		lower:   lowerView(opts.Lowers),
		archive: newArchiveReader(ctx, r, opts.Limits),
		made:    map[string]bool{".": true},
		folders: map[string]*folderMeta{},
		buf:     make([]byte, 128<<10),
	}
	defer x.leave()
	if err := x.start(); err != nil {
		return err
	}
	for {
		e, err := x.archive.next()
		if err == io.EOF {
			return x.finish()
		}
		if err != nil {
			return err
		}
		if err := x.entry(e); err != nil {
			return x.explain(e, err)
		}
	}
}

type extractor struct {
	root    *os.Root
	host    string
	opts    ExtractOptions
	lower   lowerView
	archive *archiveReader
	made    map[string]bool        // resolved paths that this layer brought, and folders above them
	folders map[string]*folderMeta // what folders get once everything is in them
	at      string                 // the resolved folder that parent is open on
	raw     string                 // the same as archives name it
	parent  *os.File
	buf     []byte
}

// folderMeta is set at the end: writing into a folder changes its time, and
// its permissions may forbid it.
type folderMeta struct {
	mode  uint32
	mtime time.Time
}

// start notes the root's own metadata.
func (x *extractor) start() error {
	if x.opts.Overlay {
		x.folders["."] = &folderMeta{mode: 0o755, mtime: Epoch()}
		return nil
	}
	return x.note(".")
}

// explain says for which entry something went wrong.
func (x *extractor) explain(e *Entry, err error) error {
	var archive *ArchiveError
	switch {
	case errors.As(err, &archive):
		return err
	case errors.Is(err, ErrEscape):
		return &ArchiveError{Path: e.Path, Fault: FaultEscape, Err: err}
	case errors.Is(err, ErrLoop), errors.Is(err, ErrNotADir):
		return &ArchiveError{Path: e.Path, Fault: FaultConflict, Err: err}
	}
	if x.archive.in.err != nil {
		return x.archive.in.err
	}
	return fmt.Errorf("extract %q: %w", e.Path, err)
}

func (x *extractor) entry(e *Entry) error {
	if e.Path == "." {
		x.folders["."] = &folderMeta{mode: e.Mode, mtime: e.ModTime}
		return x.rootOwner(e)
	}
	for name := range e.Xattrs {
		if _, overlay := overlayXattr(name); overlay {
			return archiveErrorf(e.Path, FaultUnsupported, "attribute %q belongs to overlay mounts", name)
		}
	}
	target, kind := parseWhiteout(path.Base(e.Path))
	if kind == whiteoutOther {
		return nil
	}
	if kind == whiteoutBad {
		return archiveErrorf(e.Path, FaultPath, "whiteout of %q", target)
	}
	isDevice := e.Type == tar.TypeChar || e.Type == tar.TypeBlock
	if isDevice && x.opts.SkipDevices && kind == whiteoutNone {
		return nil
	}
	if err := x.enter(path.Dir(e.Path)); err != nil {
		return err
	}
	switch kind {
	case whiteoutOpaque:
		return x.opaque()
	case whiteoutFile:
		return x.whiteout(target)
	}
	return x.create(e, path.Base(e.Path))
}

// finish gives the folders their permissions and times, the deepest first.
func (x *extractor) finish() error {
	x.leave()
	for _, p := range deepestFirst(x.folders) {
		meta := x.folders[p]
		info, err := x.root.Lstat(p)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.IsDir() {
			continue // replaced later on
		}
		if err == nil {
			err = x.setFolder(p, meta)
		}
		if err != nil {
			return fmt.Errorf("extract %q: %w", p, err)
		}
	}
	return nil
}

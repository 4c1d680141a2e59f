package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"sort"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// contents is a package read for installing: its control files and the list
// of what its data.tar holds.
type contents struct {
	Deb
	unpacked  *unpackedDeb
	stanza    *paragraph
	control   []controlFile // sorted by name, without "control" itself
	conffiles map[string]bool
	entries   []entry
}

// controlFile is a file of control.tar: a script, a list, a trigger file.
type controlFile struct {
	name string
	mode int64
	data []byte
}

// entry is a member of data.tar. name is clean and relative, "." for the root.
type entry struct {
	name     string
	typ      byte
	mode     int64
	uid, gid int
	size     int64
	link     string // of a symbolic link as it stands, of a hard link clean
	mtime    time.Time
	offset   int64 // of the content in data.tar
}

// maxEntries bounds the members of one data.tar.
const maxEntries = 1 << 20

// controlData returns the control file of that name, or nil.
func (c *contents) controlData(name string) []byte {
	for _, f := range c.control {
		if f.name == name {
			return f.data
		}
	}
	return nil
}

// id is the name that dpkg uses for the package's files in its database.
func (c *contents) id() string {
	if c.stanza.value("Multi-Arch") == "same" {
		return c.Name + ":" + c.Arch
	}
	return c.Name
}

// readAll opens every package, several at a time, in the order given. The
// caller closes them, also those returned beside an error.
func readAll(ctx context.Context, cache Cache, debs []Deb) ([]*contents, error) {
	all := make([]*contents, len(debs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	// The largest take longest: they start first.
	order := make([]int, len(debs))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return debs[order[a]].Size > debs[order[b]].Size })
	for _, i := range order {
		group.Go(func() error {
			u, err := openUnpacked(ctx, cache, debs[i])
			if err != nil {
				return err
			}
			all[i] = &contents{Deb: debs[i], unpacked: u}
			if err := all[i].read(); err != nil {
				return fmt.Errorf("package %s %s: %w", debs[i].Name, debs[i].Version, err)
			}
			return nil
		})
	}
	return all, group.Wait()
}

func closeAll(all []*contents) {
	for _, c := range all {
		if c != nil {
			c.unpacked.file.Close()
		}
	}
}

func (c *contents) read() error {
	if err := c.readControl(); err != nil {
		return err
	}
	for _, check := range []struct{ field, want string }{
		{"Package", c.Name}, {"Version", c.Version}, {"Architecture", c.Arch},
	} {
		if got := c.stanza.value(check.field); got != check.want {
			return fmt.Errorf("its control file says %s %q, the index %q", check.field, got, check.want)
		}
	}
	if err := c.readConffiles(); err != nil {
		return err
	}
	return c.readEntries()
}

func (c *contents) readControl() error {
	in := tar.NewReader(c.unpacked.control)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read control.tar: %w", err)
		}
		name := path.Clean(h.Name)
		if h.Typeflag != tar.TypeReg {
			if h.Typeflag == tar.TypeDir && name == "." {
				continue
			}
			return fmt.Errorf("control.tar: %q is no plain file", h.Name)
		}
		if name == "." || strings.ContainsAny(name, "/\x00") || name == ".." {
			return fmt.Errorf("control.tar: unsafe path %q", h.Name)
		}
		data, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("read control.tar: %s: %w", name, err)
		}
		if name == "control" {
			stanzas, err := readParagraphs(bytes.NewReader(data))
			if err != nil || len(stanzas) != 1 {
				return fmt.Errorf("control file: want one stanza, found %d (%v)", len(stanzas), err)
			}
			c.stanza = stanzas[0]
			continue
		}
		c.control = append(c.control, controlFile{name, h.Mode & 0o777, data})
	}
	if c.stanza == nil {
		return errors.New("control.tar has no control file")
	}
	sort.Slice(c.control, func(i, j int) bool { return c.control[i].name < c.control[j].name })
	return nil
}

// readConffiles lists the configuration files, those that an upgrade would
// remove left out.
func (c *contents) readConffiles() error {
	c.conffiles = map[string]bool{}
	for line := range strings.SplitSeq(string(c.controlData("conffiles")), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || !strings.HasPrefix(line, "/") {
			continue
		}
		c.conffiles[path.Clean(line)[1:]] = true
	}
	return nil
}

func (c *contents) readEntries() error {
	in := tar.NewReader(c.unpacked.data)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read data.tar: %w", err)
		}
		if len(c.entries) == maxEntries {
			return fmt.Errorf("data.tar has more than %d members", maxEntries)
		}
		e, err := newEntry(h)
		if err != nil {
			return fmt.Errorf("data.tar: %w", err)
		}
		if e.offset, err = c.unpacked.data.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		c.entries = append(c.entries, e)
	}
}

func newEntry(h *tar.Header) (entry, error) {
	e := entry{
		typ: h.Typeflag, mode: h.Mode & 0o7777, uid: h.Uid, gid: h.Gid,
		size: h.Size, link: h.Linkname, mtime: h.ModTime,
	}
	var err error
	if e.name, err = cleanName(h.Name); err != nil {
		return e, err
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return e, fmt.Errorf("%s: sparse files are not supported", e.name)
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeDir:
	case tar.TypeSymlink:
		if e.link == "" || strings.ContainsRune(e.link, 0) {
			return e, fmt.Errorf("%s: symbolic link without a target", e.name)
		}
	case tar.TypeLink:
		if e.link, err = cleanName(h.Linkname); err != nil {
			return e, fmt.Errorf("%s: hard link: %w", e.name, err)
		}
	default:
		return e, fmt.Errorf("%s: members of type %q (devices, pipes, sparse files) are not supported", e.name, h.Typeflag)
	}
	if e.name == "." && e.typ != tar.TypeDir {
		return e, errors.New("the root is no directory")
	}
	return e, nil
}

// cleanName makes a member's name relative and refuses one that is absolute
// or leads out of the root.
func cleanName(name string) (string, error) {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsRune(name, 0) {
		return "", fmt.Errorf("unsafe path %q", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", fmt.Errorf("unsafe path %q", name)
		}
	}
	return path.Clean(name), nil
}

package bake

import (
	"archive/tar"
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"kiln/layers"
)

// item is a file, folder or link that a content step puts into the image.
type item struct {
	Source   string `json:"-"` // what people call it; "" for the target
	Target   string // absolute and clean; see placer for what lies in its way
	Kind     byte   // tar type flag; hard links are items of their own
	Mode     uint32
	UID, GID int
	Link     string // of a symlink
	Size     int64
	SHA256   string // hex, of a regular file
	// Capability of a regular file: layers.Node.Capability.
	Capability string     `json:",omitempty"`
	ModTime    *time.Time // nil for the fixed time
	// Declared folders get mode and owner also where there is one already.
	Declared bool
	// Open reads a regular file; what it gives must be what SHA256 says.
	Open func() (io.ReadCloser, error) `json:"-"`
}

// landed is an entry of a content layer: all that decides its bytes.
type landed struct {
	Path     string // in the image, resolved
	Kind     byte
	Mode     uint32
	UID, GID int
	Link     string
	Size     int64
	SHA256   string
	// Capability is that of the item.
	Capability string `json:",omitempty"`
	Seconds    int64  // modification time, since 1970
	open       func() (io.ReadCloser, error)
	made       bool // a folder that nobody asked for, above what is wanted
}

// contentStep places items on what lies below and makes the layer. It depends
// on what lies below only by where symlinks there lead and which folders are
// there. Of items with one target the last counts.
func (b *Builder) contentStep(ctx context.Context, st *state, name string, items []item) (StepResult, error) {
	return b.contentStepOf(ctx, st, name, contents{items: items})
}

func (b *Builder) contentStepOf(ctx context.Context, st *state, name string, c contents) (StepResult, error) {
	items := settled(c.items)
	places, err := b.places(ctx, st, items)
	if err != nil {
		return StepResult{}, err
	}
	list := b.landAll(places, items)
	if err := removeNothing(list); err != nil {
		return StepResult{}, err
	}
	st.made = func() made { return b.contentMade(items, list) }
	res, err := b.cached(ctx, st, ContentStep, name, contentKey(b.encoder(st), list), func(dir string) ([]layers.Entry, error) {
		if c.load != nil {
			if err := c.load(ctx, dir); err != nil {
				return nil, err
			}
		}
		return landedEntries(list)
	})
	res.items = items
	return res, err
}

// settled sorts items, folders before what they hold, and drops all but the
// last of those with one target.
func settled(items []item) []item {
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.Target, b.Target) })
	list := items[:0]
	for i, it := range items {
		if i+1 == len(items) || items[i+1].Target != it.Target {
			list = append(list, it)
		}
	}
	return list
}

// landAll are the entries of items, and of the folders above them, which come
// before them and have their time.
func (b *Builder) landAll(places []placed, items []item) []landed {
	list := make([]landed, len(places))
	seconds := b.made().Unix()
	for i, p := range slices.Backward(places) {
		if p.Source < 0 {
			list[i] = landed{Path: p.Path, Kind: tar.TypeDir, Mode: 0o755, Seconds: seconds}
			if p.Kept != nil {
				list[i].Mode, list[i].UID, list[i].GID = p.Kept.Mode, p.Kept.UID, p.Kept.GID
			}
			continue
		}
		it := items[p.Source]
		if seconds = b.made().Unix(); it.ModTime != nil {
			seconds = it.ModTime.Unix()
		}
		list[i] = landed{
			Path: p.Path, Kind: it.Kind, Mode: it.Mode, UID: it.UID, GID: it.GID, Link: it.Link,
			Size: it.Size, SHA256: it.SHA256, Capability: it.Capability, Seconds: seconds, open: it.Open,
		}
	}
	return list
}

// removeNothing refuses files whose names would remove in the layer what lies
// below: archives, commits and folders may hold such.
func removeNothing(list []landed) error {
	for _, l := range list {
		if strings.HasPrefix(path.Base(l.Path), layers.WhiteoutPrefix) {
			return fmt.Errorf("/%s: names that begin with %s are whiteouts, which remove files (rename it, or exclude it)", l.Path, layers.WhiteoutPrefix)
		}
	}
	return nil
}

func landedEntries(list []landed) (entries []layers.Entry, err error) {
	entries = make([]layers.Entry, len(list))
	for i, l := range list {
		if entries[i], err = l.entry(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

func (l landed) entry() (layers.Entry, error) {
	attributes, err := layers.CapabilityXattrs(l.Capability)
	if err != nil {
		return layers.Entry{}, fmt.Errorf("/%s: %w", l.Path, err)
	}
	return layers.Entry{
		Path: l.Path, Type: l.Kind, Mode: l.Mode, UID: l.UID, GID: l.GID, Link: l.Link,
		Size: l.Size, ModTime: time.Unix(l.Seconds, 0).UTC(), Xattrs: attributes, Digest: digestOf(l.SHA256), Open: l.open,
	}, nil
}

// digestOf is a hash in hex as a digest; "" of none.
func digestOf(sum string) string {
	if sum == "" {
		return ""
	}
	return "sha256:" + sum
}

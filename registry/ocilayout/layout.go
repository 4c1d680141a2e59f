// Package ocilayout is an OCI image layout (image spec, "Image Layout") as the
// part of a registry that copies need: a folder with content under its digest
// and one index.json that names it.
//
// A layout names what it holds by the annotation
// org.opencontainers.image.ref.name: IMAGE:TAG, as kiln bake --output writes
// it, is a tag of an image here, and a bare TAG, as most tools write it, is one
// of the image without a name, "". All images of a layout share its content.
//
// index.json lists what nothing else names: what is tagged, images without a
// tag, and referrers, so that they are found by their subjects; children of an
// index are not listed. What is written is synced before it is named, and
// index.json is replaced at once. One process at a time may write.
package ocilayout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxIndex bounds index.json, in bytes.
const maxIndex = 16 << 20

// Layout is a folder. It implements registry.Reader, and of registry.Lister
// and registry.Writer what needs no server. Safe for concurrent use.
type Layout struct {
	dir  string
	root *os.Root // nothing outside of it is read, symlinks or not

	mu    sync.Mutex // of index.json, from its reading to its writing
	parts sync.Map   // digest -> registry.Parts of manifests, which never change
}

var _ registry.Reader = (*Layout)(nil)

// Open opens a layout; an error that is fs.ErrNotExist where there is none.
func Open(dir string) (*Layout, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open OCI layout: %w", err)
	}
	l := &Layout{dir: dir, root: root}
	if err := l.checkVersion(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return l, nil
}

// Create opens a layout, or makes one of a folder that is absent or empty.
func Create(dir string) (*Layout, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(list) > 0 {
		return Open(dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	l := &Layout{dir: dir, root: root}
	mark, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err == nil {
		err = l.change(func(*ocispec.Index) {})
	}
	if err == nil {
		err = l.write(ocispec.ImageLayoutFile, mark) // last: it makes the folder a layout
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return l, nil
}

// Close lets go of the folder.
func (l *Layout) Close() error { return l.root.Close() }

func (l *Layout) checkVersion() error {
	content, err := l.read(ocispec.ImageLayoutFile, 1<<16)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no OCI layout: it has no file %s", l.dir, ocispec.ImageLayoutFile)
	}
	if err != nil {
		return err
	}
	var mark ocispec.ImageLayout
	if err := json.Unmarshal(content, &mark); err != nil || mark.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s is no OCI layout of version %s", l.dir, ocispec.ImageLayoutVersion)
	}
	return nil
}

// open opens a regular file: a pipe or a device of a strange layout would
// block, or worse.
func (l *Layout) open(name string) (*os.File, int64, error) {
	info, err := l.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s in %s is no file", name, l.dir)
	}
	f, err := l.root.Open(name)
	return f, info.Size(), err
}

func (l *Layout) read(name string, limit int64) ([]byte, error) {
	f, size, err := l.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size > limit {
		return nil, fmt.Errorf("%s in %s has more than %d bytes", name, l.dir, limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// blobPath is where content lies. The digest has passed registry.CheckDigest.
func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}

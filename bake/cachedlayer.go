package bake

import (
	"io"
	"os"

	"kiln/layers"
)

// cachedLayer is a layer in the cache. A reader of it that does not come to a
// good end looks whether the file is damaged, and removes it if so: the next
// lookup makes the layer again.
type cachedLayer struct{ *layers.Layer }

// Compressed implements v1.Layer.
func (l cachedLayer) Compressed() (io.ReadCloser, error) {
	return l.watch(l.Layer.Compressed())
}

// Uncompressed implements v1.Layer.
func (l cachedLayer) Uncompressed() (io.ReadCloser, error) {
	return l.watch(l.Layer.Uncompressed())
}

func (l cachedLayer) watch(r io.ReadCloser, err error) (io.ReadCloser, error) {
	if err != nil {
		l.check()
		return nil, err
	}
	return &watchedLayer{ReadCloser: r, layer: l}, nil
}

// check removes the file if it is not what its digest says. Where that is not
// possible, the reader's error says what to do.
func (l cachedLayer) check() {
	if l.Verify() != nil {
		_ = os.Remove(l.Path)
	}
}

type watchedLayer struct {
	io.ReadCloser
	layer cachedLayer
	whole bool // read to its end, which checked the digest
}

// Read implements io.Reader.
func (w *watchedLayer) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.whole = w.whole || err == io.EOF
	return n, err
}

// Close implements io.Closer.
func (w *watchedLayer) Close() error {
	err := w.ReadCloser.Close()
	if !w.whole {
		w.layer.check()
	}
	return err
}

package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Named is an image to be written with the name that it gets there.
type Named struct {
	// Ref is the image's reference, such as "example.com/shop:1.4.0"; empty
	// for one without a name.
	Ref   string
	Image v1.Image
	// Index is set in the place of Image where there are several platforms.
	Index v1.ImageIndex
	// Annotations go to the image's descriptor in an OCI layout's index.
	Annotations map[string]string
}

// refName is the annotation by which OCI layouts name what they hold.
const refName = "org.opencontainers.image.ref.name"

const layoutMark = `{"imageLayoutVersion":"1.0.0"}`

// WriteOCILayout makes dir an OCI image layout that holds exactly the items.
// dir must be absent, empty or an OCI layout already; of that, blobs that the
// items need are kept and all others removed. The index is replaced last and
// at once, so that a reader sees the old items or the new.
func WriteOCILayout(dir string, items []Named) error {
	if err := checkLayoutDir(dir); err != nil {
		return fmt.Errorf("write OCI layout: %w", err)
	}
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return err
	}
	if err := writeBytes(filepath.Join(dir, "oci-layout"), []byte(layoutMark)); err != nil {
		return err
	}
	l := &layoutWriter{blobs: blobs, keep: map[string]bool{}}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	for _, item := range items {
		d, err := l.item(item)
		if err != nil {
			return fmt.Errorf("write OCI layout: image %q: %w", item.Ref, err)
		}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	if err := writeBytes(filepath.Join(dir, "index.json"), raw); err != nil {
		return err
	}
	return l.sweep()
}

// checkLayoutDir refuses folders that hold something else.
func checkLayoutDir(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(dir, "oci-layout"))
	var mark struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err != nil || json.Unmarshal(raw, &mark) != nil || mark.Version != "1.0.0" {
		return fmt.Errorf("%s is neither empty nor an OCI layout: name another folder", dir)
	}
	return nil
}

type layoutWriter struct {
	blobs string
	keep  map[string]bool // names of blobs that the items need
}

// item stores an image or an index with its images, and describes it.
func (l *layoutWriter) item(item Named) (d v1.Descriptor, err error) {
	if item.Index == nil {
		return l.image(item)
	}
	manifest, err := item.Index.IndexManifest()
	if err != nil {
		return d, err
	}
	for _, m := range manifest.Manifests {
		img, err := item.Index.Image(m.Digest)
		if err != nil {
			return d, err
		}
		if _, err := l.image(Named{Image: img}); err != nil {
			return d, err
		}
	}
	raw, err := item.Index.RawManifest()
	if err != nil {
		return d, err
	}
	if d.Digest, err = item.Index.Digest(); err != nil {
		return d, err
	}
	if d.MediaType, err = item.Index.MediaType(); err != nil {
		return d, err
	}
	d.Size, d.Annotations = int64(len(raw)), named(item)
	return d, l.blob(d.Digest, opened(raw))
}

// named are the annotations of an item's descriptor.
func named(item Named) map[string]string {
	all := maps.Clone(item.Annotations)
	if item.Ref != "" {
		if all == nil {
			all = map[string]string{}
		}
		all[refName] = item.Ref
	}
	return all
}

func (l *layoutWriter) image(item Named) (d v1.Descriptor, err error) {
	manifest, err := item.Image.Manifest()
	if err != nil {
		return d, err
	}
	ls, err := item.Image.Layers()
	if err != nil {
		return d, err
	}
	for i, layer := range ls {
		if err := l.blob(manifest.Layers[i].Digest, layer.Compressed); err != nil {
			return d, err
		}
	}
	config, err := item.Image.RawConfigFile()
	if err != nil {
		return d, err
	}
	if err := l.blob(manifest.Config.Digest, opened(config)); err != nil {
		return d, err
	}
	return l.manifest(item, manifest)
}

func (l *layoutWriter) manifest(item Named, manifest *v1.Manifest) (d v1.Descriptor, err error) {
	raw, err := item.Image.RawManifest()
	if err != nil {
		return d, err
	}
	if d.Digest, err = item.Image.Digest(); err != nil {
		return d, err
	}
	if d.MediaType, err = item.Image.MediaType(); err != nil {
		return d, err
	}
	d.Size, d.Annotations = int64(len(raw)), named(item)
	if manifest.Config.MediaType.IsConfig() {
		config, err := item.Image.ConfigFile()
		if err != nil {
			return d, err
		}
		d.Platform = config.Platform()
	}
	return d, l.blob(d.Digest, opened(raw))
}

// blob stores content under its digest, which must be right, unless it is
// there.
func (l *layoutWriter) blob(want v1.Hash, open func() (io.ReadCloser, error)) error {
	if want.Algorithm != "sha256" {
		return fmt.Errorf("digest %s is not sha256", want)
	}
	l.keep[want.Hex] = true
	path := filepath.Join(l.blobs, want.Hex)
	if sameFile(path, want) {
		return nil
	}
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	return writeFile(path, func(w io.Writer) error {
		s := newSum()
		if _, err := io.Copy(io.MultiWriter(w, s), r); err != nil {
			return err
		}
		if s.hash() != want {
			return fmt.Errorf("content of %s has digest %s", want, s.hash())
		}
		return nil
	})
}

func sameFile(path string, want v1.Hash) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	s := newSum()
	_, err = io.Copy(s, f)
	return err == nil && s.hash() == want
}

// sweep removes what the items do not need.
func (l *layoutWriter) sweep() error {
	list, err := os.ReadDir(l.blobs)
	if err != nil {
		return err
	}
	for _, f := range list {
		if !l.keep[f.Name()] {
			if err := os.RemoveAll(filepath.Join(l.blobs, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func opened(raw []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
}

func writeBytes(path string, raw []byte) error {
	return writeFile(path, func(w io.Writer) error {
		_, err := w.Write(raw)
		return err
	})
}

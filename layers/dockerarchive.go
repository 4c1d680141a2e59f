package layers

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// dockerItem is one image in the manifest.json of a Docker archive.
type dockerItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// WriteDockerArchive writes the items as one archive for "docker load",
// "podman load" and skopeo's docker-archive. Each Ref must be empty or
// name:tag. The bytes follow from the items alone; the file appears whole or
// not at all.
func WriteDockerArchive(file string, items []Named) error {
	for _, item := range items {
		if item.Index != nil {
			return fmt.Errorf("write Docker archive: %s is for several platforms, and the archive holds one (write oci:DIR)", item.Ref)
		}
		if item.Ref == "" {
			continue
		}
		if _, err := name.NewTag(item.Ref, name.WeakValidation); err != nil {
			return fmt.Errorf("write Docker archive: %w", err)
		}
	}
	return writeFile(file, func(w io.Writer) error {
		a := &dockerArchive{tar: tar.NewWriter(w), written: map[string]bool{}}
		list := []dockerItem{}
		for _, item := range items {
			entry, err := a.image(item)
			if err != nil {
				return fmt.Errorf("write Docker archive: image %q: %w", item.Ref, err)
			}
			list = append(list, entry)
		}
		raw, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if err := a.file("manifest.json", int64(len(raw)), opened(raw)); err != nil {
			return err
		}
		return a.tar.Close()
	})
}

type dockerArchive struct {
	tar     *tar.Writer
	written map[string]bool
}

func (a *dockerArchive) image(item Named) (out dockerItem, err error) {
	manifest, err := item.Image.Manifest()
	if err != nil {
		return out, err
	}
	config, err := item.Image.RawConfigFile()
	if err != nil {
		return out, err
	}
	out.Config = manifest.Config.Digest.Hex + ".json"
	out.RepoTags, out.Layers = []string{}, []string{}
	if item.Ref != "" {
		out.RepoTags = append(out.RepoTags, item.Ref)
	}
	if err := a.file(out.Config, int64(len(config)), opened(config)); err != nil {
		return out, err
	}
	ls, err := item.Image.Layers()
	if err != nil {
		return out, err
	}
	for i, l := range ls {
		d := manifest.Layers[i]
		if d.MediaType == types.OCILayerZStd {
			file, err := a.plain(l)
			if err != nil {
				return out, err
			}
			out.Layers = append(out.Layers, file)
			continue
		}
		file := d.Digest.Hex + ".tar.gz" // readers tell the compression from the content
		out.Layers = append(out.Layers, file)
		if err := a.file(file, d.Size, l.Compressed); err != nil {
			return out, err
		}
	}
	return out, nil
}

// plain adds a layer uncompressed, under its diffID: not every reader of these
// archives knows zstd.
func (a *dockerArchive) plain(l v1.Layer) (file string, err error) {
	diff, err := l.DiffID()
	if err != nil {
		return "", err
	}
	file = diff.Hex + ".tar"
	if a.written[file] {
		return file, nil
	}
	content, err := l.Uncompressed()
	if err != nil {
		return "", err
	}
	size, err := io.Copy(io.Discard, content) // the header comes first
	if err = errors.Join(err, content.Close()); err != nil {
		return "", err
	}
	return file, a.file(file, size, l.Uncompressed)
}

func (a *dockerArchive) file(name string, size int64, open func() (io.ReadCloser, error)) error {
	if a.written[name] {
		return nil
	}
	a.written[name] = true
	r, err := open()
	if err != nil {
		return err
	}
	defer r.Close()
	h := &tar.Header{Format: tar.FormatPAX, Typeflag: tar.TypeReg, Name: name, Mode: 0o444, Size: size}
	if err := a.tar.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(a.tar, r)
	if err == nil && n != size {
		err = fmt.Errorf("%d of %d bytes", n, size)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

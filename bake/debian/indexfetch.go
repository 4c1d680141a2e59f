package debian

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/therootcompany/xz"
)

// maxIndex bounds a Packages file after decompression; Debian's main has 50 MB.
const maxIndex = 1 << 30

// readIndexes reads the Packages files of the source's components.
func (r *opened) readIndexes(ctx context.Context, t transport, o Options, s Source) error {
	components := s.Components
	if len(components) == 0 {
		components = []string{"main"}
		if slices.Contains(r.release.components, "universe") {
			components = append(components, "universe")
		}
	}
	for _, component := range components {
		err := r.readIndex(ctx, t, o, s, component, o.Arch)
		if err == nil && !r.release.allInNative && slices.Contains(r.release.architectures, "all") {
			if err = r.readIndex(ctx, t, o, s, component, "all"); errors.Is(err, errNoIndex) {
				err = nil
			}
		}
		if err != nil {
			return fmt.Errorf("component %s: %w", component, err)
		}
	}
	return nil
}

func (r *opened) readIndex(ctx context.Context, t transport, o Options, s Source, component, arch string) error {
	name := component + "/binary-" + arch + "/Packages"
	file, text, err := r.release.index(ctx, t, o.Cache, s, name)
	if err != nil {
		return err
	}
	ix, err := parseIndex(s.Suite, text)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.indexes = append(r.indexes, ix)
	r.meta.Indexes = append(r.meta.Indexes, file)
	return nil
}

// index returns the content of the Packages file called name, by preference
// from the cache, where both the compressed and the plain form are kept.
func (r *release) index(ctx context.Context, t transport, cache Cache, s Source, name string) (Index, string, error) {
	for _, suffix := range []string{".xz", ".gz", ""} {
		file, ok := r.files[name+suffix]
		if !ok {
			continue
		}
		listed := Index{Path: name + suffix, Size: file.size, SHA256: file.sha256}
		plain := r.files[name]
		if plain.sha256 != "" {
			if path, ok := cache.Find(plain.sha256, plain.size); ok {
				text, err := os.ReadFile(path)
				return listed, string(text), err
			}
		}
		path, ok := cache.Find(file.sha256, file.size)
		if !ok {
			var err error
			if path, err = r.fetchIndex(ctx, t, cache, s, listed); err != nil {
				return listed, "", fmt.Errorf("%s: %w", listed.Path, err)
			}
		}
		text, err := unpackIndex(path, suffix, plain, cache)
		if err != nil {
			return listed, "", fmt.Errorf("%s: %w", listed.Path, err)
		}
		return listed, text, nil
	}
	return Index{}, "", fmt.Errorf("%w: %s", errNoIndex, name)
}

// fetchIndex gets an index by its hash, where the archive offers that, and by
// its name.
func (r *release) fetchIndex(ctx context.Context, t transport, cache Cache, s Source, file Index) (stored string, err error) {
	paths := []string{file.Path}
	if r.byHash {
		paths = []string{path.Dir(file.Path) + "/by-hash/SHA256/" + file.SHA256, file.Path}
	}
	for _, p := range paths {
		err = t.get(ctx, s.Mirror, "dists/"+s.Suite+"/"+p, false, func(in io.Reader) (err error) {
			stored, err = cache.Add(file.SHA256, file.Size, in)
			return err
		})
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errMismatch) {
			break
		}
	}
	return stored, err
}

// unpackIndex decompresses an index and keeps the plain form when the release
// says what it must be.
func unpackIndex(path, suffix string, plain releaseFile, cache Cache) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var in io.Reader = f
	switch suffix {
	case ".xz":
		in, err = xz.NewReader(f, maxXZDictionary)
	case ".gz":
		in, err = gzip.NewReader(f)
	}
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if plain.sha256 == "" {
		if n, err := io.Copy(&text, io.LimitReader(in, maxIndex+1)); err != nil || n > maxIndex {
			return "", errors.Join(err, fmt.Errorf("%d bytes unpacked, at most %d are taken", n, maxIndex))
		}
		return text.String(), nil
	}
	if plain.size > maxIndex {
		return "", fmt.Errorf("%d bytes, at most %d are taken", plain.size, maxIndex)
	}
	text.Grow(int(plain.size))
	if _, err := cache.Add(plain.sha256, plain.size, io.TeeReader(in, &text)); err != nil {
		return "", err
	}
	return text.String(), nil
}

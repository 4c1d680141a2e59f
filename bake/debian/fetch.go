package debian

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// GoneError says that packages are neither in the cache nor in the archive
// any more.
type GoneError struct{ Packages []Package }

// goneNames is how many packages a GoneError names.
const goneNames = 3

// Error names the first packages, how many there are, and the way out.
func (e *GoneError) Error() string {
	var names []string
	for _, p := range e.Packages[:min(goneNames, len(e.Packages))] {
		names = append(names, p.Name+" "+p.Version)
	}
	list := strings.Join(names, ", ")
	if more := len(e.Packages) - len(names); more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("neither the archive nor the cache has %s any more: resolve again with kiln lock --update", list)
}

// Fetcher gets the .debs of packages.
type Fetcher struct {
	// Sources say which mirrors serve a suite. Without any, only the cache is
	// asked.
	Sources []Source
	Cache   Cache
	// HTTP reaches the mirrors; nil means a client with sensible time limits.
	HTTP *http.Client
	// Workers is how many packages are fetched at a time, 8 when zero.
	Workers int
	// Done, when set, is told of each package that is at hand, from several
	// goroutines at once.
	Done func(p Package, cached bool)
}

// Fetch gets the .debs of packages with default settings; see Fetcher.Fetch.
func Fetch(ctx context.Context, pkgs []Package, sources []Source, cache Cache, workers int) (map[string]string, error) {
	return Fetcher{Sources: sources, Cache: cache, Workers: workers}.Fetch(ctx, pkgs)
}

// Fetch returns the path of each package's .deb by its sha256: from the cache,
// where it is hashed again, or else from the mirrors of its suite. Size and
// hash are those of the packages, so that what a mirror serves need not be
// trusted. When some are nowhere, all others are still fetched and the error
// is a *GoneError.
func (f Fetcher) Fetch(ctx context.Context, pkgs []Package) (map[string]string, error) {
	if f.Workers <= 0 {
		f.Workers = 8
	}
	t := newTransport(f.HTTP)
	var mu sync.Mutex
	paths := make(map[string]string, len(pkgs))
	var gone GoneError
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(f.Workers)
	for _, p := range pkgs {
		if err := checkPackage(&p); err != nil {
			return nil, err
		}
		group.Go(func() error {
			path, cached, err := f.one(gctx, t, p)
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, fs.ErrNotExist) {
				gone.Packages = append(gone.Packages, p)
				return nil
			}
			if err != nil {
				return fmt.Errorf("package %s %s: %w", p.Name, p.Version, err)
			}
			paths[p.SHA256] = path
			if f.Done != nil {
				f.Done(p, cached)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(gone.Packages) > 0 {
		slices.SortFunc(gone.Packages, func(a, b Package) int { return strings.Compare(a.Name, b.Name) })
		return nil, &gone
	}
	return paths, nil
}

// one gets one .deb. fs.ErrNotExist means that no mirror has it.
func (f Fetcher) one(ctx context.Context, t transport, p Package) (path string, cached bool, err error) {
	if path, ok := f.Cache.Find(p.SHA256, p.Size); ok {
		return path, true, nil
	}
	err = fmt.Errorf("no source for suite %s: %w", p.Suite, fs.ErrNotExist)
	for _, mirror := range f.mirrors(p.Suite) {
		for try := range 2 {
			err = moreTelling(err, t.get(ctx, mirror, p.Path, try > 0, func(in io.Reader) (err error) {
				path, err = f.Cache.Add(p.SHA256, p.Size, in)
				return err
			}))
			if err == nil {
				return path, false, nil
			}
			if !errors.Is(err, errMismatch) {
				break
			}
		}
	}
	return "", false, err
}

// moreTelling keeps the error that tells more: one that says "not here" gives way
// to any other.
func moreTelling(old, new error) error {
	if new != nil && errors.Is(new, fs.ErrNotExist) && !errors.Is(old, fs.ErrNotExist) {
		return old
	}
	return new
}

// mirrors lists those of the suite first: the hash tells whether another one
// has the same file.
func (f Fetcher) mirrors(suite string) []string {
	var own, others []string
	seen := map[string]bool{}
	for _, s := range f.Sources {
		if s.Suite == suite && !seen[s.Mirror] {
			seen[s.Mirror] = true
			own = append(own, s.Mirror)
		}
	}
	for _, s := range f.Sources {
		if !seen[s.Mirror] {
			seen[s.Mirror] = true
			others = append(others, s.Mirror)
		}
	}
	return append(own, others...)
}

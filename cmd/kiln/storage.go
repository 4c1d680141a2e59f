package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"kiln/registry/store"
	"kiln/registry/store/filestore"
	"kiln/registry/store/s3store"
)

// storage is the two halves of an embedded store.
type storage struct {
	store.Store
	Pointers store.Pointers
	location string // as --store says it
	dir      string // of a folder, else ""
	close    func() error
}

// Close lets go of the store.
func (s storage) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// inBucket tells the locations of stores in S3.
func inBucket(location string) bool { return strings.HasPrefix(location, s3store.Scheme) }

// openStorage opens the store in a folder or a bucket; create makes it where
// there is none.
func (a *app) openStorage(ctx context.Context, location string, create bool) (storage, error) {
	switch {
	case inBucket(location):
		return openBucket(ctx, location, s3store.Options{Create: create})
	case strings.Contains(location, "://"), strings.HasPrefix(location, "s3:"):
		return storage{}, usagef("--store %s: want a folder, s3://BUCKET/PREFIX or http(s)://HOST:PORT", location)
	}
	if err := noServer(location); err != nil {
		return storage{}, err
	}
	files, err := filestore.Open(ctx, location, filestore.Options{Create: create})
	if err != nil {
		return storage{}, noStore(err, location)
	}
	return folder(files, location), nil
}

// noServer refuses HOST:PORT, which would be a folder of that name, unless there
// is one.
func noServer(location string) error {
	host, port, err := net.SplitHostPort(location)
	if err != nil || host == "" || strings.Contains(location, "/") {
		return nil
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil
	}
	if _, err := os.Stat(location); err == nil {
		return nil
	}
	return withHint(exitUsage, usagef("--store %s: there is no such folder", location),
		"did you mean https://"+location+"? (http:// is for a server on this machine)")
}

func folder(files *filestore.Store, dir string) storage {
	return storage{Store: files, Pointers: files.Pointers(), location: dir, dir: dir}
}

// openBucket opens the store in a bucket. The environment's proxies and
// credentials are those of the process: the libraries look for themselves.
func openBucket(ctx context.Context, location string, how s3store.Options) (storage, error) {
	o, err := s3store.ParseLocation(location)
	if err != nil {
		return storage{}, usagef("--store: %v", err)
	}
	o.Create, o.Bare = how.Create, how.Bare
	s, err := s3store.Open(ctx, o)
	var access *s3store.AccessError
	switch {
	case errors.As(err, &access):
		return storage{}, withHint(exitError, err, access.Advice)
	case errors.Is(err, s3store.ErrUnfit):
		return storage{}, withHint(exitError, err, "use a service that keeps If-Match and If-None-Match of PUT, or a newer release of this one")
	case err != nil:
		return storage{}, noStore(err, location)
	}
	return storage{Store: s, Pointers: s.Pointers(), location: location, close: s.Close}, nil
}

// noStore says how to make what is missing.
func noStore(err error, location string) error {
	if errors.Is(err, store.ErrNotFound) {
		return withHint(exitNotFound, fmt.Errorf("there is no store in %s", location), "kiln bake makes one; --store names another")
	}
	return err
}

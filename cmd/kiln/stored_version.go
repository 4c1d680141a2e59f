package main

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
)

// storedVersion is the version that a command is about, and its store, open.
type storedVersion struct {
	*backend
	image  string
	tag    string // that named it; "" where its digest did
	digest digest.Digest
}

// openVersion opens the store for what a command does there to the version that
// ref names. The digest of a tag is looked up and printed. The caller closes it.
func (a *app) openVersion(ctx context.Context, ref string, use purpose) (*storedVersion, error) {
	named, err := storeRef(ref)
	if err != nil {
		return nil, err
	}
	b, err := a.open(ctx, use)
	if err != nil {
		return nil, err
	}
	v := &storedVersion{backend: b, image: named.Name}
	if v.digest, err = a.fix(ctx, b.registry, named); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if named.Digest == "" {
		v.tag = named.Tag
	}
	return v, nil
}

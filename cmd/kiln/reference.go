package main

import (
	"context"
	"strings"

	"github.com/opencontainers/go-digest"

	"kiln/registry"
)

// parseRef reads a REF that names an image of the store or of another registry.
func parseRef(s string) (registry.Reference, error) {
	if strings.HasPrefix(s, "oci:") {
		return registry.Reference{}, usagef("%s: image layouts are only copied, verified and looked into; name IMAGE@DIGEST or IMAGE:TAG of the store", s)
	}
	ref, err := registry.ParseReference(s)
	if err != nil {
		return registry.Reference{}, usagef("%v", err)
	}
	if ref.Digest == "" && ref.Tag == "" {
		err := usagef("%s: name a digest (IMAGE@sha256:…) or a tag", s)
		if ref.Host == "" {
			err = withHint(exitUsage, err, "kiln versions "+ref.Name+" lists them")
		}
		return registry.Reference{}, err
	}
	return ref, nil
}

// storeRef reads a REF that names an image of the store.
func storeRef(s string) (registry.Reference, error) {
	ref, err := parseRef(s)
	if err == nil && ref.Host != "" {
		return registry.Reference{}, usagef("%s: name an image of the store, without a host", s)
	}
	return ref, err
}

// fix is the digest of a reference; that of a tag is looked up and
// printed: what changes a channel takes digests.
func (a *app) fix(ctx context.Context, r registry.Reader, ref registry.Reference) (digest.Digest, error) {
	if ref.Digest != "" {
		return ref.Digest, nil
	}
	desc, err := r.Tag(ctx, ref.Name, ref.Tag)
	if err != nil {
		return "", err
	}
	a.say("%s is %s@%s", ref, ref.Name, desc.Digest)
	return desc.Digest, nil
}

package bake

import (
	"context"
	"errors"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// dpkgStatus is dpkg's database; a distroless image has fragments beside it.
const dpkgStatus = "var/lib/dpkg/status"

// errDpkgGone says why packages cannot come on top of a hardened image.
var errDpkgGone = errors.New("the parent has packages and no dpkg to add more with: its hardening took it (install them before, or harden only the last image)")

// errNoDpkg says why packages cannot come on top of an image.
var errNoDpkg = errors.New("the parent has no dpkg database to add packages to: it is distroless or not a Debian system " +
	"(name the packages in the debian block of a distroless image of its own, or build on another parent)")

// needDpkg refuses an image that packages cannot be added to.
func (b *Builder) needDpkg(ctx context.Context, img v1.Image) error {
	ix, err := b.imageIndex(ctx, img)
	if err != nil {
		return err
	}
	_, _, err = ix.Resolve(dpkgStatus)
	if errors.Is(err, fs.ErrNotExist) {
		return errNoDpkg
	}
	if err == nil {
		_, err = follow(ix, "/usr/bin/dpkg")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return errDpkgGone
	}
	return err
}

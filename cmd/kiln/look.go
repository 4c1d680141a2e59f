package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake"
	"kiln/registry/promotion"
	"kiln/sign"
)

// looked is an image somewhere, opened for looking into it.
type looked struct {
	*bake.View
	place    *copyPlace
	look     *bake.Look
	platform string        // that was picked from an index, "" otherwise
	keysFrom string        // "keys", as named, or "trust", the store's; "" without any
	version  digest.Digest // as it was named: that of the index where an image was picked
	trust    promotion.Trust
	verifier *sign.Verifier // nil without keys
	cache    *bake.Cache
}

func (l *looked) close() {
	l.cache.Close()
	l.place.close()
}

// String is the image by digest, where it is.
func (l *looked) String() string { return l.place.name + "@" + l.Digest.String() }

// lookAt opens a REF. Of an index the platform's image is taken; "" takes the
// index itself.
func (a *app) lookAt(ctx context.Context, ref, platform string, keyFiles []string) (*looked, error) {
	place, err := a.copySource(ctx, ref)
	if err != nil {
		return nil, err
	}
	cache, err := a.openCache()
	if err != nil {
		place.close()
		return nil, err
	}
	l := &looked{place: place, cache: cache, version: place.digest}
	if err := l.open(ctx, platform, keyFiles); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *looked) open(ctx context.Context, platform string, keyFiles []string) error {
	if err := l.chooseKeys(ctx, keyFiles); err != nil {
		return err
	}
	var records *bake.Records
	if l.verifier != nil && l.place.repo != "" {
		records = &bake.Records{Registry: l.place.registry, Bakers: l.bakersOf}
	}
	var err error
	if l.look, err = bake.NewLook(l.place.registry, l.cache, records); err != nil {
		return err
	}
	if l.View, err = l.look.Open(ctx, l.place.repo, l.version); err != nil {
		return err
	}
	if platform == "" {
		return nil
	}
	return l.pick(ctx, platform)
}

// bakersOf verifies what counts for an image, which may be a parent.
func (l *looked) bakersOf(_ context.Context, image string) (*sign.Verifier, error) {
	if l.keysFrom == "trust" {
		return bakersOf(l.trust, image)
	}
	return l.verifier, nil
}

// chooseKeys takes the keys that were named, else those that the store trusts
// to bake the image.
func (l *looked) chooseKeys(ctx context.Context, files []string) error {
	var err error
	switch {
	case len(files) > 0:
		l.keysFrom = "keys"
		var pems [][]byte
		if pems, err = publicKeys(ctx, files); err == nil {
			l.verifier, err = bakersOf(promotion.Trust{}, l.place.repo, keyPrincipals(pems)...)
		}
	case l.place.store != nil:
		if l.trust, err = l.place.store.ops.Trust(ctx); exitCode(err) == exitDenied {
			return nil // who may pull need not see the trust
		}
		if err == nil {
			l.keysFrom = "trust"
			l.verifier, err = bakersOf(l.trust, l.place.repo)
		}
	}
	if l.verifier == nil {
		l.keysFrom = ""
	}
	return err
}

// pick takes a platform's image where the view is an index.
func (l *looked) pick(ctx context.Context, platform string) error {
	if l.Images == nil {
		if have := configPlatform(l.View); have != platform && !strings.HasPrefix(have, platform+"/") {
			return withHint(exitNotFound, fmt.Errorf("%s is for %s, not for %s", l, have, platform))
		}
		return nil
	}
	var have []string
	for _, m := range platformImages(l.View) {
		name := platformName(m.Platform)
		if name == platform || strings.HasPrefix(name, platform+"/") {
			view, err := l.look.Open(ctx, l.Name, m.Digest)
			if err != nil {
				return err
			}
			l.View, l.platform = view, name
			return nil
		}
		have = append(have, name)
	}
	return withHint(exitNotFound, fmt.Errorf("%s has no image for %s, but for %s", l, platform, strings.Join(have, ", ")))
}

// image takes, of an index, the host's image where no platform was named.
func (l *looked) image(ctx context.Context) error {
	if l.Images == nil {
		return nil
	}
	list := platformImages(l.View)
	if len(list) == 1 {
		return l.pick(ctx, platformName(list[0].Platform))
	}
	if err := l.pick(ctx, "linux/"+runtime.GOARCH); err != nil {
		return withHint(exitCode(err), err, "--platform OS/ARCH picks one")
	}
	return nil
}

// platformImages are the images of an index without what BuildKit puts beside
// them.
func platformImages(v *bake.View) []ocispec.Descriptor {
	var list []ocispec.Descriptor
	for _, m := range v.Images {
		if m.Platform != nil && m.Platform.Architecture != "unknown" {
			list = append(list, m)
		}
	}
	return list
}

func platformName(p *ocispec.Platform) string {
	name := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}

// configPlatform is the platform that an image's config names.
func configPlatform(v *bake.View) string {
	c := v.Config
	return platformName(&ocispec.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant})
}

// standing is what the store says of the version; nil elsewhere, and of a
// manifest that is no version.
func (l *looked) standing(ctx context.Context) (*promotion.Version, error) {
	if l.place.store == nil {
		return nil, nil
	}
	list, err := l.place.store.ops.Versions(ctx, promotion.VersionsRequest{Image: l.place.repo, Digest: l.version})
	if promotion.KindOf(err) == promotion.KindNotFound {
		return nil, nil
	}
	if err != nil || len(list.Versions) == 0 {
		return nil, err
	}
	return &list.Versions[0], nil
}

package main

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"kiln/registry"
	"kiln/registry/imagecopy"
	"kiln/registry/ocilayout"
)

// copyable is what is copied from and to: a registry, or an OCI layout.
type copyable interface {
	imagecopy.Source
	imagecopy.Destination
}

// copyPlace is an image somewhere.
type copyPlace struct {
	registry copyable
	repo     string
	tag      string        // as named, "" if none
	digest   digest.Digest // of a source always, of a destination where it was named
	name     string        // for people, without tag and digest
	same     string        // equal for places in one registry
	isStore  bool
	versions versionFinder                                   // nil if the registry must be asked for each tag
	channels func(context.Context, string) ([]string, error) // nil if it has none
	store    *backend                                        // nil but for an image of the store
	layout   bool                                            // it is an OCI layout
	closed   func() error
}

// String is the source as it is copied: by digest.
func (p *copyPlace) String() string { return p.name + "@" + p.digest.String() }

// close lets go of the registry. Nothing that was written waits for it.
func (p *copyPlace) close() {
	if p.closed != nil {
		_ = p.closed()
	}
}

func (p *copyPlace) isChannel(ctx context.Context, tag string) (bool, error) {
	if p.channels == nil {
		return false, nil
	}
	names, err := p.channels(ctx, p.repo)
	return slices.Contains(names, tag), err
}

// versionTags are the version tags of the image.
func (p *copyPlace) versionTags(ctx context.Context) ([]string, error) {
	if p.versions == nil {
		return imagecopy.VersionTags(ctx, p.registry, p.repo, p.digest)
	}
	tags, err := p.versions.TagsOf(ctx, p.repo, p.digest)
	return slices.DeleteFunc(tags, func(tag string) bool { return !registry.IsVersionTag(tag) }), err
}

// copySource opens what is copied; a tag is looked up here, and never again.
func (a *app) copySource(ctx context.Context, ref string) (*copyPlace, error) {
	if rest, ok := strings.CutPrefix(ref, "oci:"); ok {
		return a.layoutSource(rest)
	}
	named, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	p, err := a.copyRegistry(ctx, named, purpose{})
	if err != nil {
		return nil, err
	}
	if p.digest, err = a.fix(ctx, p.registry, named); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// copyDestination opens where it is copied to.
func (a *app) copyDestination(ctx context.Context, ref string, src *copyPlace) (*copyPlace, error) {
	if rest, ok := strings.CutPrefix(ref, "oci:"); ok {
		return layoutDestination(rest, src)
	}
	named, err := registry.ParseReference(ref)
	if err != nil {
		return nil, usagef("%v", err)
	}
	p, err := a.copyRegistry(ctx, named, purpose{create: true})
	if err != nil {
		return nil, err
	}
	p.digest = named.Digest
	return p, nil
}

// copyRegistry opens the store, or the registry that a reference names.
func (a *app) copyRegistry(ctx context.Context, ref registry.Reference, use purpose) (*copyPlace, error) {
	p := &copyPlace{repo: ref.Name, tag: ref.Tag, name: ref.Name, same: "store"}
	host, err := hostOf(a.store)
	served := err == nil && (strings.HasPrefix(a.store, "http://") || strings.HasPrefix(a.store, "https://"))
	if ref.Host != "" && !(served && host == ref.Host) {
		r, err := remoteRegistry(ctx, ref.Host)
		if err != nil {
			return nil, err
		}
		p.registry, p.name, p.same = r, ref.Host+"/"+ref.Name, ref.Host
		return p, nil
	}
	b, err := a.open(ctx, use)
	if err != nil {
		return nil, err
	}
	p.registry, p.isStore, p.versions, p.channels, p.store, p.closed = b.registry, true, b.versions, b.channels, b, b.Close
	if b.host != "" {
		p.name = b.host + "/" + ref.Name
	}
	return p, nil
}

// layoutSource opens DIR[:NAME], where NAME is a ref.name, a tag or an image.
func (a *app) layoutSource(ref string) (*copyPlace, error) {
	dir, name, _ := strings.Cut(ref, ":")
	l, err := ocilayout.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHint(exitNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	found, err := l.Find(name)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	p := layoutPlace(l, dir)
	p.repo, p.tag, p.digest = found.Repo, found.Tag, found.Descriptor.Digest
	a.say("oci:%s is %s", ref, p)
	return p, nil
}

// layoutDestination opens or makes DIR[:NAME], where NAME is IMAGE:TAG or TAG;
// without, the image keeps its name.
func layoutDestination(ref string, src *copyPlace) (*copyPlace, error) {
	dir, name, _ := strings.Cut(ref, ":")
	repo, tag := src.repo, ""
	if name != "" {
		repo, tag = "", name
		if image, t, ok := cutLast(name, ":"); ok {
			repo, tag = image, t
			if err := registry.CheckName(repo); err != nil {
				return nil, usagef("oci:%s: %v", ref, err)
			}
		}
		if err := registry.CheckTag(tag); err != nil {
			return nil, usagef("oci:%s: %v", ref, err)
		}
	}
	if dir == "" {
		return nil, usagef("oci:%s names no folder", ref)
	}
	l, err := ocilayout.Create(dir)
	if err != nil {
		return nil, err
	}
	p := layoutPlace(l, dir)
	p.repo, p.tag = repo, tag
	return p, nil
}

func layoutPlace(l *ocilayout.Layout, dir string) *copyPlace {
	p := &copyPlace{registry: l, name: "oci:" + dir, same: "oci:" + dir, layout: true, closed: l.Close}
	if abs, err := filepath.Abs(dir); err == nil {
		p.same = "oci:" + abs
	}
	return p
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

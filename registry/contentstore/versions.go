package contentstore

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"regexp"
	"slices"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Version is one version tag of an image, and the JSON of its entry.
type Version struct {
	Digest   digest.Digest `json:"digest"`
	Tag      string        `json:"tag"`
	Created  time.Time     `json:"created"`  // UTC, the bake time that the tag says
	Revision string        `json:"revision"` // 12 hex digits of the commit
	Dirty    bool          `json:"dirty,omitempty"`
	// Base is the annotation org.opencontainers.image.base.digest, which is a
	// hint: the truth about parents is the signed provenance.
	Base     digest.Digest `json:"base_digest,omitempty"`
	BaseName string        `json:"base_name,omitempty"`

	// Cursor is the after that continues a list behind this version.
	Cursor string `json:"-"`
}

// Versions lists an image's versions, newest first, starting behind the
// version whose Cursor is after ("" for all). A digest with several version
// tags comes once for each. The sequence ends after its first error.
func (r *Registry) Versions(ctx context.Context, repo, after string) iter.Seq2[Version, error] {
	return func(yield func(Version, error) bool) {
		if err := registry.CheckName(repo); err != nil {
			yield(Version{}, err)
			return
		}
		prefix := store.VersionsPrefix(repo)
		if after != "" {
			after = prefix + after
		}
		for info, err := range r.store.List(ctx, prefix, after) {
			var v Version
			if err == nil {
				v, err = r.version(ctx, repo, info.Key)
			}
			if errors.Is(err, store.ErrNotFound) {
				continue // its tag is not set, or it was deleted meanwhile
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// VersionTagsOf lists the version tags that point to d, in byte order. It reads
// nothing of other versions but the names of their entries.
func (r *Registry) VersionTagsOf(ctx context.Context, repo string, d digest.Digest) ([]string, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	var tags []string
	for info, err := range r.store.List(ctx, store.VersionsPrefix(repo), "") {
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(info.Key, "-"+string(d)) {
			continue
		}
		v, err := r.version(ctx, repo, info.Key)
		if errors.Is(err, store.ErrNotFound) {
			continue // its tag is not set, or it was deleted meanwhile
		}
		if err != nil {
			return nil, err
		}
		tags = append(tags, v.Tag)
	}
	slices.Sort(tags)
	return slices.Compact(tags), nil
}

// version reads an entry; ErrNotFound unless its tag is set to its digest.
func (r *Registry) version(ctx context.Context, repo, key string) (Version, error) {
	var v Version
	if err := r.readJSON(ctx, key, &v); err != nil {
		return Version{}, err
	}
	if registry.CheckTag(v.Tag) != nil {
		return Version{}, registry.Errorf(registry.CodeCorrupt, "version entry %s is damaged", key)
	}
	t, _, err := r.loadTag(ctx, repo, v.Tag)
	if err != nil {
		return Version{}, err
	}
	if !t.live() || t.Digest != v.Digest {
		return Version{}, store.ErrNotFound
	}
	v.Cursor = strings.TrimPrefix(key, store.VersionsPrefix(repo))
	return v, nil
}

// commitVersion writes the entries of a version and then, which is what makes
// it one, its tag. Of a tag that is set the entries are written all the same: a
// collection may have taken them from a push that was not acknowledged.
func (r *Registry) commitVersion(ctx context.Context, repo, tag string, d digest.Digest, m manifest) error {
	done, err := r.checkVersionTag(ctx, repo, tag, d)
	if err != nil {
		return err
	}
	if _, dated := versionTime(tag); done && !dated {
		return nil // its entry is at a time that is not known
	}
	v, at := newVersion(tag, d, m, r.now())
	if err := r.putJSON(ctx, store.VersionKey(repo, at, d), v); err != nil {
		return err
	}
	if v.Base != "" {
		if err := r.putJSON(ctx, store.DescendantKey(v.Base, repo, d), v); err != nil {
			return err
		}
	}
	if done {
		return nil
	}
	err = r.swapTag(ctx, store.Absent(store.TagPointer(repo, tag)), tagValue{Digest: d, At: r.now().UTC()})
	if errors.Is(err, store.ErrConflict) { // another push was first
		_, err = r.checkVersionTag(ctx, repo, tag, d)
	}
	return err
}

var versionParts = regexp.MustCompile(`([0-9]{8}T[0-9]{6}Z)-([0-9a-f]{12})(-dirty)?$`)

// versionTime reads the time of a version tag; not what is no date, or none
// that a key can hold.
func versionTime(tag string) (time.Time, bool) {
	at, err := time.Parse("20060102T150405Z", versionParts.FindStringSubmatch(tag)[1])
	return at, err == nil && at.Year() >= 1970 && at.Year() <= 2261
}

// newVersion describes a version tag, and says which time its key counts by:
// the tag's second, and within it a fraction that depends on the tag alone, so
// that a push that is done again meets its own entry, and two tags of one
// digest and second do not meet.
func newVersion(tag string, d digest.Digest, m manifest, now time.Time) (Version, time.Time) {
	v := Version{Digest: d, Tag: tag}
	parts := versionParts.FindStringSubmatch(tag)
	created, dated := versionTime(tag)
	if !dated {
		created = now.UTC().Truncate(time.Second)
	}
	v.Created, v.Revision, v.Dirty = created, parts[2], parts[3] != ""
	base := digest.Digest(m.annotations[ocispec.AnnotationBaseImageDigest])
	if registry.CheckDigest(base) == nil {
		v.Base, v.BaseName = base, m.annotations[ocispec.AnnotationBaseImageName]
	}
	sum := sha256.Sum256([]byte(tag))
	fraction := binary.BigEndian.Uint64(sum[:]) % uint64(time.Second)
	return v, created.Add(time.Duration(fraction))
}

package contentstore

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// tagValue is a tag pointer's value, as JSON.
type tagValue struct {
	Digest  digest.Digest `json:"digest"`
	At      time.Time     `json:"at"`                // when it was set, or deleted
	Deleted bool          `json:"deleted,omitempty"` // tombstone of a version tag
}

func (t tagValue) live() bool { return t.Digest != "" && !t.Deleted }

// loadTag reads a tag; of an absent one it returns the pointer to create it.
func (r *Registry) loadTag(ctx context.Context, repo, tag string) (tagValue, store.Pointer, error) {
	name := store.TagPointer(repo, tag)
	ptr, err := r.pointers.Load(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return tagValue{}, store.Absent(name), nil
	}
	if err != nil {
		return tagValue{}, store.Pointer{}, err
	}
	t, err := r.read.tag(ptr)
	return t, ptr, err
}

func parseTag(ptr store.Pointer) (tagValue, error) {
	var t tagValue
	if err := json.Unmarshal(ptr.Value, &t); err != nil {
		return t, registry.Errorf(registry.CodeCorrupt, "pointer %s is damaged: %w", ptr.Name, err)
	}
	return t, nil
}

func (r *Registry) swapTag(ctx context.Context, old store.Pointer, t tagValue) error {
	value, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = r.pointers.Swap(ctx, old, value)
	return coded(err)
}

// checkVersionTag refuses, with CodeDenied, to set a version tag that is or
// was set to something else. It tells whether it is set to d already.
func (r *Registry) checkVersionTag(ctx context.Context, repo, tag string, d digest.Digest) (bool, error) {
	t, ptr, err := r.loadTag(ctx, repo, tag)
	switch {
	case err != nil:
		return false, err
	case !ptr.Exists():
		return false, nil
	case t.Deleted:
		return false, registry.Errorf(registry.CodeDenied, "version tag %s:%s was deleted and cannot be used again", repo, tag)
	case t.Digest != d:
		return false, registry.Errorf(registry.CodeDenied, "version tag %s:%s is %s and never moves", repo, tag, t.Digest)
	}
	return true, nil
}

// moveTag sets a tag, whatever it was.
func (r *Registry) moveTag(ctx context.Context, repo, tag string, d digest.Digest) error {
	for {
		t, old, err := r.loadTag(ctx, repo, tag)
		if err != nil {
			return err
		}
		if t.live() && t.Digest == d {
			return nil
		}
		err = r.swapTag(ctx, old, tagValue{Digest: d, At: r.now().UTC()})
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
}

// tags yields an image's live tags with their pointers.
func (r *Registry) tags(ctx context.Context, repo, after string) iter.Seq2[tagEntry, error] {
	prefix := store.TagPointer(repo, "")
	if after != "" {
		after = prefix + after
	}
	return func(yield func(tagEntry, error) bool) {
		for ptr, err := range r.pointers.List(ctx, prefix, after) {
			if err != nil {
				yield(tagEntry{}, err)
				return
			}
			t, err := parseTag(ptr)
			if err != nil {
				yield(tagEntry{}, err)
				return
			}
			if t.live() && !yield(tagEntry{strings.TrimPrefix(ptr.Name, prefix), t.Digest, ptr}, nil) {
				return
			}
		}
	}
}

// tagNames yields the names of an image's live tags. Only version tags leave
// tombstones, so only of those it reads the values.
func (r *Registry) tagNames(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	prefix := store.TagPointer(repo, "")
	if after != "" {
		after = prefix + after
	}
	return func(yield func(string, error) bool) {
		for name, err := range store.Names(ctx, r.pointers, prefix, after) {
			tag := strings.TrimPrefix(name, prefix)
			live := true
			if err == nil && registry.IsVersionTag(tag) {
				var t tagValue
				t, _, err = r.loadTag(ctx, repo, tag)
				live = t.live()
			}
			if err != nil {
				yield("", err)
				return
			}
			if live && !yield(tag, nil) {
				return
			}
		}
	}
}

type tagEntry struct {
	tag    string
	digest digest.Digest
	ptr    store.Pointer
}

// TagsOf lists the tags that point to d, in byte order.
func (r *Registry) TagsOf(ctx context.Context, repo string, d digest.Digest) ([]string, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	var tags []string
	for e, err := range r.tags(ctx, repo, "") {
		if err != nil {
			return nil, err
		}
		if e.digest == d {
			tags = append(tags, e.tag)
		}
	}
	return slices.Clip(tags), nil
}

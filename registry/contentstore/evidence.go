package contentstore

import (
	"context"
	"errors"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// checkUnneeded is checkUnpinned for a blob, and also refuses what evidence of
// versions and records of the ledger consist of: without its blob a record
// breaks the ledger, and without its bundle a version is unsigned. A version
// whose tag was removed counts as long as its manifest stays, as it may be
// leased.
func (r *Registry) checkUnneeded(ctx context.Context, repo string, target digest.Digest) error {
	seen := map[digest.Digest]bool{}
	if err := r.checkUnpinnedBy(ctx, repo, target, seen); err != nil {
		return err
	}
	attached, todo, err := r.allAttached(ctx, repo)
	if err != nil {
		return err
	}
	for d := range seen {
		todo = append(todo, attached[d]...)
	}
	done := map[digest.Digest]bool{}
	for len(todo) > 0 {
		d := todo[0]
		if todo = todo[1:]; done[d] {
			continue
		}
		done[d] = true
		todo = append(todo, attached[d]...)
		reached, err := r.reaches(ctx, repo, d, target, seen)
		if err != nil {
			return err
		}
		if reached {
			return registry.Errorf(registry.CodeDenied, "%s belongs to %s, which is a version of %s, evidence of one, or a record of the ledger; delete that first", target, d, repo)
		}
	}
	return nil
}

// allAttached lists what refers to a subject, or is tagged after it as cosign
// does, by subject; and what needs no subject to stay: the ledger's records,
// and what version tags named that were removed.
func (r *Registry) allAttached(ctx context.Context, repo string) (bySubject map[digest.Digest][]digest.Digest, more []digest.Digest, err error) {
	bySubject = map[digest.Digest][]digest.Digest{}
	for info, err := range r.store.List(ctx, store.ImageKey(repo)+"referrers/", "") {
		var l link
		if err == nil {
			err = r.readJSON(ctx, info.Key, &l)
		}
		switch {
		case errors.Is(err, store.ErrNotFound): // deleted meanwhile
		case err != nil:
			return nil, nil, err
		case l.ArtifactType == recordType:
			more = append(more, l.Digest)
		default:
			bySubject[l.Subject] = append(bySubject[l.Subject], l.Digest)
		}
	}
	prefix := store.TagPointer(repo, "")
	for ptr, err := range r.pointers.List(ctx, prefix, "") {
		if err != nil {
			return nil, nil, err
		}
		t, err := parseTag(ptr)
		if err != nil {
			return nil, nil, err
		}
		tag := strings.TrimPrefix(ptr.Name, prefix)
		if subject, ok := subjectOfTag(tag); ok && t.live() {
			bySubject[subject] = append(bySubject[subject], t.Digest)
		} else if t.Deleted && t.Digest != "" {
			more = append(more, t.Digest)
		}
	}
	return bySubject, more, nil
}

package contentstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// image compares what an image may serve with what is there.
func (s *scrub) image(ctx context.Context, image string) error {
	for _, look := range []func(context.Context, string) error{
		s.manifestLinks, s.referrerEntries, s.blobLinks, s.versionEntries, s.settled, s.tags, s.settled,
	} {
		if err := look(ctx, image); err != nil {
			return err
		}
	}
	return nil
}

// settled has what was found so far put right, as what follows builds on it.
func (s *scrub) settled(ctx context.Context, _ string) error { return s.settle(ctx) }

// content reads a manifest's bytes, link or no link. ErrNotFound, CodeCorrupt.
func (r *Registry) content(ctx context.Context, d digest.Digest) ([]byte, error) {
	content, err := r.readObject(ctx, store.BlobKey(d), registry.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	return content, newVerifier(bytes.NewReader(content), d, -1, registry.CodeCorrupt).drain()
}

// linkOf makes a manifest's link anew, from its bytes.
func (r *Registry) linkOf(ctx context.Context, mediaType string, d digest.Digest) (link, manifest, error) {
	content, err := r.content(ctx, d)
	if err != nil {
		return link{}, manifest{}, err
	}
	m, err := parseManifest(mediaType, content)
	if err != nil && mediaType != "" {
		m, err = parseManifest("", content)
	}
	return link{
		Descriptor: ocispec.Descriptor{
			MediaType: m.mediaType, Digest: d, Size: int64(len(content)), ArtifactType: m.artifactType, Annotations: m.annotations,
		},
		Subject: m.subject,
	}, m, err
}

// marked tells that the collector has its eye on d: what is missing then is
// for it to finish.
func (r *Registry) marked(ctx context.Context, d digest.Digest) (bool, error) {
	m, ptr, err := r.loadMark(ctx, d)
	return err == nil && ptr.Exists() && m.State != rescued, err
}

// relink puts a manifest's link back as a push does.
func (s *scrub) relink(ctx context.Context, image string, l link) error {
	if err := s.r.linkManifest(ctx, image, l); err != nil {
		return err
	}
	return s.r.rescue(ctx, image, l.Digest)
}

// manifestLinks compares the links of manifests with their bytes, and looks
// for the entries of those that refer to another.
func (s *scrub) manifestLinks(ctx context.Context, image string) error {
	prefix := store.ManifestLinkKey(image, "")
	for info, err := range s.r.store.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		d := digest.Digest(strings.TrimPrefix(info.Key, prefix))
		if err := registry.CheckDigest(d); err != nil {
			s.out.Problems = append(s.out.Problems, Problem{Image: image, Err: fmt.Errorf("object %s: %w", info.Key, err)})
			continue
		}
		if err := s.manifestLink(ctx, image, d); err != nil {
			return err
		}
	}
	return nil
}

// misread tells what is wrong with a manifest's link, if anything is, and what
// it should be.
func (s *scrub) misread(ctx context.Context, image string, d digest.Digest) (want link, wrong, err error) {
	have, err := s.r.manifestLink(ctx, image, d)
	switch {
	case errors.Is(err, registry.CodeManifestUnknown):
		return link{}, nil, nil
	case err != nil && !errors.Is(err, registry.CodeCorrupt):
		return link{}, nil, err
	}
	damaged := err
	want, _, err = s.r.linkOf(ctx, have.MediaType, d)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return link{}, registry.Errorf(registry.CodeCorrupt, "manifest %s is linked by %s, but its bytes are gone", d, image), nil
	case ctx.Err() != nil:
		return link{}, nil, ctx.Err()
	case err != nil:
		return link{}, err, nil
	case damaged != nil:
		return want, damaged, nil
	case have.Size != want.Size || have.Subject != want.Subject || have.MediaType != want.MediaType || have.ArtifactType != want.ArtifactType:
		return want, registry.Errorf(registry.CodeCorrupt, "link of manifest %s in %s does not say what the manifest says", d, image), nil
	}
	return want, nil, nil
}

func (s *scrub) manifestLink(ctx context.Context, image string, d digest.Digest) error {
	want, wrong, err := s.misread(ctx, image, d)
	if err != nil {
		return err
	}
	if wrong == nil {
		return s.referrerEntry(ctx, image, want)
	}
	p := suspicion{Problem: Problem{Image: image, Digest: d, Err: wrong, Broken: true}}
	p.still = func(ctx context.Context) (bool, error) {
		_, wrong, err := s.misread(ctx, image, d)
		return wrong != nil, err
	}
	if want.Digest != "" {
		p.mend = func(ctx context.Context) (string, error) {
			if err := s.r.store.Delete(ctx, store.ManifestLinkKey(image, d)); err != nil {
				return "", coded(err)
			}
			return "made the link again", s.relink(ctx, image, want)
		}
	}
	return s.suspect(ctx, p)
}

// referrerEntry looks for the entry of a manifest that refers to another.
func (s *scrub) referrerEntry(ctx context.Context, image string, l link) error {
	if l.Subject == "" {
		return nil
	}
	key := store.ReferrersPrefix(image, l.Subject) + string(l.Digest)
	missing := func(ctx context.Context) (bool, error) {
		var have link
		err := s.r.readJSON(ctx, key, &have)
		if err == nil && have.Digest == l.Digest || err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, registry.CodeCorrupt) {
			return false, err
		}
		there, err := s.r.exists(ctx, store.ManifestLinkKey(image, l.Digest))
		if err != nil || !there {
			return false, err
		}
		going, err := s.r.marked(ctx, l.Digest)
		return !going, err
	}
	gone, err := missing(ctx)
	if err != nil || !gone {
		return err
	}
	return s.suspect(ctx, suspicion{
		Problem: Problem{Image: image, Digest: l.Digest, Err: registry.Errorf(registry.CodeCorrupt, "%s does not list it as a referrer of %s", image, l.Subject)},
		still:   missing,
		mend: func(ctx context.Context) (string, error) {
			if err := s.r.store.Delete(ctx, key); err != nil { // one that cannot be read
				return "", coded(err)
			}
			if err := s.r.putJSON(ctx, key, l); err != nil {
				return "", err
			}
			return "listed it again", s.dropUnlinked(ctx, image, l.Digest, key)
		},
	})
}

// dropUnlinked takes back an entry whose manifest was deleted meanwhile.
func (s *scrub) dropUnlinked(ctx context.Context, image string, d digest.Digest, key string) error {
	there, err := s.r.exists(ctx, store.ManifestLinkKey(image, d))
	if err != nil || there {
		return err
	}
	return coded(s.r.store.Delete(ctx, key))
}

// referrerEntries looks for the manifests that entries name. What a deletion
// left behind that broke off is put back if it is whole: it was never
// acknowledged.
func (s *scrub) referrerEntries(ctx context.Context, image string) error {
	prefix := store.ImageKey(image) + "referrers/"
	for info, err := range s.r.store.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		subject, d := cutEntry(strings.TrimPrefix(info.Key, prefix))
		if registry.CheckDigest(d) != nil || registry.CheckDigest(subject) != nil {
			s.out.Problems = append(s.out.Problems, Problem{Image: image, Err: fmt.Errorf("object %s is at no referrer's place", info.Key)})
			continue
		}
		dangling := func(ctx context.Context) (bool, error) {
			there, err := s.r.exists(ctx, store.ManifestLinkKey(image, d))
			if err != nil || there {
				return false, err
			}
			if going, err := s.r.marked(ctx, d); err != nil || going {
				return false, err
			}
			return s.r.exists(ctx, info.Key)
		}
		if is, err := dangling(ctx); err != nil {
			return err
		} else if !is {
			continue
		}
		if err := s.suspect(ctx, suspicion{
			Problem: Problem{Image: image, Digest: d, Err: registry.Errorf(registry.CodeCorrupt, "%s lists it as a referrer of %s and does not link it", image, subject)},
			still:   dangling,
			mend:    func(ctx context.Context) (string, error) { return s.relinkReferrer(ctx, image, subject, d, info.Key) },
		}); err != nil {
			return err
		}
	}
	return nil
}

func cutEntry(rest string) (subject, d digest.Digest) {
	before, after, _ := strings.Cut(rest, "/")
	return digest.Digest(before), digest.Digest(after)
}

func (s *scrub) relinkReferrer(ctx context.Context, image string, subject, d digest.Digest, key string) (string, error) {
	l, _, err := s.r.linkOf(ctx, "", d)
	switch {
	case err == nil && l.Subject == subject:
		there, err := s.r.exists(ctx, store.ManifestLinkKey(image, subject))
		if err != nil {
			return "", err
		}
		if there || l.ArtifactType == recordType {
			return "linked it again", s.relink(ctx, image, l)
		}
	case err != nil && !errors.Is(err, store.ErrNotFound) && registry.ErrorCode(err) == "":
		return "", err
	}
	return "took it off the list", coded(s.r.store.Delete(ctx, key))
}

// blobLinks looks for the bytes of links. One that no manifest names is the
// rest of a push or a deletion, which harms nobody.
func (s *scrub) blobLinks(ctx context.Context, image string) error {
	prefix := store.BlobLinkKey(image, "")
	lost := map[digest.Digest]bool{}
	for info, err := range s.r.store.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		d := digest.Digest(strings.TrimPrefix(info.Key, prefix))
		if err := registry.CheckDigest(d); err != nil {
			s.out.Problems = append(s.out.Problems, Problem{Image: image, Err: fmt.Errorf("object %s: %w", info.Key, err)})
			continue
		}
		there, err := s.r.exists(ctx, store.BlobKey(d))
		if err != nil {
			return err
		}
		if !there {
			lost[d] = true
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return s.lostBlobs(ctx, image, lost)
}

// lostBlobs reports those that a manifest of the image names.
func (s *scrub) lostBlobs(ctx context.Context, image string, lost map[digest.Digest]bool) error {
	prefix := store.ManifestLinkKey(image, "")
	for info, err := range s.r.store.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		by := digest.Digest(strings.TrimPrefix(info.Key, prefix))
		if registry.CheckDigest(by) != nil {
			continue
		}
		_, m, err := s.r.linkOf(ctx, "", by)
		if err != nil {
			continue // found elsewhere
		}
		for _, b := range m.blobs {
			if !lost[b.Digest] || foreign(b) {
				continue
			}
			delete(lost, b.Digest)
			if err := s.suspect(ctx, suspicion{
				Problem: Problem{Image: image, Digest: b.Digest, Broken: true, Err: registry.Errorf(registry.CodeCorrupt, "manifest %s of %s names it, but its bytes are gone", by, image)},
				still:   func(ctx context.Context) (bool, error) { return s.lost(ctx, image, b.Digest) },
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// lost tells that an image links a blob whose bytes are not there.
func (s *scrub) lost(ctx context.Context, image string, d digest.Digest) (bool, error) {
	linked, err := s.r.exists(ctx, store.BlobLinkKey(image, d))
	if err != nil || !linked {
		return false, err
	}
	there, err := s.r.exists(ctx, store.BlobKey(d))
	return !there, err
}

package access

import (
	"context"
	"encoding/json"
	"io"
	"iter"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// guardedRegistry asks before each method. It embeds nothing: a method that is
// added to the interface does not pass unasked.
type guardedRegistry struct{ reg registry.Registry }

var _ registry.Registry = (*guardedRegistry)(nil)

// may is nil if the identity of ctx may do verb with repo.
func may(ctx context.Context, verb Verb, repo string) error {
	return refusal(ctx, judge(ctx, verb, repo, ""), verb, repo)
}

// mayAdd is nil for who may push, or attest.
func mayAdd(ctx context.Context, repo string) error {
	v := judge(ctx, Push, repo, "")
	if v == denied {
		v = judge(ctx, Attest, repo, "")
	}
	return refusal(ctx, v, Push, repo)
}

func refusal(ctx context.Context, v verdict, verb Verb, repo string) error {
	switch v {
	case granted:
		return nil
	case unauthenticated:
		return registry.Errorf(registry.CodeUnauthorized, "authentication required")
	case narrowed:
		return registry.Errorf(registry.CodeUnauthorized, "this token was not made to %s %s", verb, clip(repo))
	default:
		return registry.Errorf(registry.CodeDenied, "%s may not %s %s", clip(Owner(ctx)), verb, clip(repo))
	}
}

func (g *guardedRegistry) StatBlob(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := may(ctx, Pull, repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.reg.StatBlob(ctx, repo, d)
}

func (g *guardedRegistry) OpenBlob(ctx context.Context, repo string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	if err := may(ctx, Pull, repo); err != nil {
		return nil, err
	}
	return g.reg.OpenBlob(ctx, repo, d, offset, length)
}

func (g *guardedRegistry) Manifest(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	if err := may(ctx, Pull, repo); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return g.reg.Manifest(ctx, repo, d)
}

func (g *guardedRegistry) Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	if err := may(ctx, Pull, repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.reg.Tag(ctx, repo, tag)
}

// ManifestByTag implements registry.TagFollower.
func (g *guardedRegistry) ManifestByTag(ctx context.Context, repo, tag string) (ocispec.Descriptor, []byte, error) {
	if err := may(ctx, Pull, repo); err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	return registry.ManifestByTag(ctx, g.reg, repo, tag)
}

func (g *guardedRegistry) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	if err := mayAdd(ctx, repo); err != nil {
		return err
	}
	return g.reg.PushBlob(ctx, repo, desc, r)
}

// MountBlob needs pull on the source: a digest is no right to its bytes
// (FAULTS 9).
func (g *guardedRegistry) MountBlob(ctx context.Context, from, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	if err := mayAdd(ctx, repo); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := may(ctx, Pull, from); err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.reg.MountBlob(ctx, from, repo, d)
}

func (g *guardedRegistry) StartUpload(ctx context.Context, repo string) (registry.Upload, error) {
	if err := mayAdd(ctx, repo); err != nil {
		return nil, err
	}
	return g.reg.StartUpload(ctx, repo)
}

func (g *guardedRegistry) ResumeUpload(ctx context.Context, repo, id string) (registry.Upload, error) {
	if err := mayAdd(ctx, repo); err != nil {
		return nil, err
	}
	return g.reg.ResumeUpload(ctx, repo, id)
}

func (g *guardedRegistry) PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	err := mayAdd(ctx, repo)
	if err == nil && judge(ctx, Push, repo, "") != granted {
		err = mayAttest(ctx, repo, m)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return g.reg.PushManifest(ctx, repo, m)
}

// evidenceTag is what cosign and clients without referrers name evidence by.
var evidenceTag = pattern(`^(sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128})(\.[a-z]{1,16})?$`)

// mayAttest takes a manifest with a subject, or one that gets an evidence tag;
// no other tags.
func mayAttest(ctx context.Context, repo string, m registry.Manifest) error {
	for _, tag := range m.Tags {
		if !evidenceTag().MatchString(tag) {
			return registry.Errorf(registry.CodeDenied, "%s may only attest %s, and not set the tag %s", clip(Owner(ctx)), repo, clip(tag))
		}
	}
	if len(m.Tags) == 0 && !hasSubject(m.Content) {
		return registry.Errorf(registry.CodeDenied, "%s may only attest %s: the manifest has no subject", clip(Owner(ctx)), repo)
	}
	return nil
}

// hasSubject reads the one member that counts by its exact name, as every
// parser does.
func hasSubject(content []byte) bool {
	var fields map[string]json.RawMessage
	var subject map[string]json.RawMessage
	var d digest.Digest
	return json.Unmarshal(content, &fields) == nil && json.Unmarshal(fields["subject"], &subject) == nil &&
		json.Unmarshal(subject["digest"], &d) == nil && registry.CheckDigest(d) == nil
}

func (g *guardedRegistry) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	if err := may(ctx, Delete, repo); err != nil {
		return err
	}
	return g.reg.DeleteBlob(ctx, repo, d)
}

func (g *guardedRegistry) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if err := may(ctx, Delete, repo); err != nil {
		return err
	}
	return g.reg.DeleteManifest(ctx, repo, d)
}

func (g *guardedRegistry) DeleteTag(ctx context.Context, repo, tag string) error {
	if err := may(ctx, Delete, repo); err != nil {
		return err
	}
	return g.reg.DeleteTag(ctx, repo, tag)
}

// Repositories lists what may be pulled. Strangers are asked who they are where
// there is nothing for them.
func (g *guardedRegistry) Repositories(ctx context.Context, after string) iter.Seq2[string, error] {
	id, _ := From(ctx)
	if len(id.Grants) == 0 && (id.Anonymous || id.Name == "") {
		return failing[string](registry.Errorf(registry.CodeUnauthorized, "authentication required"))
	}
	return func(yield func(string, error) bool) {
		for name, err := range g.reg.Repositories(ctx, after) {
			if err == nil && !lists(id, name) {
				continue
			}
			if !yield(name, err) {
				return
			}
		}
	}
}

// lists says whether an image is shown to an identity.
func lists(id Identity, image string) bool {
	return allows(id.Grants, Pull, image, "") && (id.narrow == nil || id.narrow.catalog() || id.narrow.permit(Pull, image))
}

func (g *guardedRegistry) Tags(ctx context.Context, repo, after string) iter.Seq2[string, error] {
	if err := may(ctx, Pull, repo); err != nil {
		return failing[string](err)
	}
	return g.reg.Tags(ctx, repo, after)
}

func (g *guardedRegistry) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	if err := may(ctx, Pull, repo); err != nil {
		return failing[ocispec.Descriptor](err)
	}
	return g.reg.Referrers(ctx, repo, d, artifactType)
}

// failing is a sequence of one error.
func failing[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

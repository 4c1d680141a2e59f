package access

import (
	"context"
	"io"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// auditedRegistry writes a line for each method of Writer and Deleter; it
// embeds only what reads.
type auditedRegistry struct {
	registry.Reader
	registry.Lister
	reg   registry.Registry
	audit *Audit
}

var _ registry.Registry = (*auditedRegistry)(nil)

// ManifestByTag implements registry.TagFollower.
func (a *auditedRegistry) ManifestByTag(ctx context.Context, repo, tag string) (ocispec.Descriptor, []byte, error) {
	return registry.ManifestByTag(ctx, a.Reader, repo, tag)
}

func (a *auditedRegistry) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	err := a.reg.PushBlob(ctx, repo, desc, r)
	a.audit.record(ctx, "push_blob", err, "repo", repo, "digest", string(desc.Digest))
	return err
}

func (a *auditedRegistry) MountBlob(ctx context.Context, from, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	desc, err := a.reg.MountBlob(ctx, from, repo, d)
	a.audit.record(ctx, "mount_blob", err, "repo", repo, "digest", string(d), "from", from)
	return desc, err
}

// StartUpload writes a line for a refusal only: nothing is in the image before
// the upload is committed.
func (a *auditedRegistry) StartUpload(ctx context.Context, repo string) (registry.Upload, error) {
	return a.upload(ctx, repo, "start_upload")(a.reg.StartUpload(ctx, repo))
}

func (a *auditedRegistry) ResumeUpload(ctx context.Context, repo, id string) (registry.Upload, error) {
	return a.upload(ctx, repo, "resume_upload")(a.reg.ResumeUpload(ctx, repo, id))
}

func (a *auditedRegistry) upload(ctx context.Context, repo, verb string) func(registry.Upload, error) (registry.Upload, error) {
	return func(u registry.Upload, err error) (registry.Upload, error) {
		if isDenied(err) {
			a.audit.record(ctx, verb, err, "repo", repo)
		}
		if err != nil {
			return nil, err
		}
		return &auditedUpload{u: u, repo: repo, audit: a.audit}, nil
	}
}

func (a *auditedRegistry) PushManifest(ctx context.Context, repo string, m registry.Manifest) (ocispec.Descriptor, error) {
	desc, err := a.reg.PushManifest(ctx, repo, m)
	d := desc.Digest
	if err != nil {
		d = m.Digest
	}
	a.audit.record(ctx, "push_manifest", err, "repo", repo, "tag", strings.Join(m.Tags, " "), "digest", string(d))
	return desc, err
}

func (a *auditedRegistry) DeleteBlob(ctx context.Context, repo string, d digest.Digest) error {
	err := a.reg.DeleteBlob(ctx, repo, d)
	a.audit.record(ctx, "delete_blob", err, "repo", repo, "digest", string(d))
	return err
}

func (a *auditedRegistry) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	err := a.reg.DeleteManifest(ctx, repo, d)
	a.audit.record(ctx, "delete_manifest", err, "repo", repo, "digest", string(d))
	return err
}

func (a *auditedRegistry) DeleteTag(ctx context.Context, repo, tag string) error {
	err := a.reg.DeleteTag(ctx, repo, tag)
	a.audit.record(ctx, "delete_tag", err, "repo", repo, "tag", tag)
	return err
}

// auditedUpload writes a line when bytes become a blob of the image.
type auditedUpload struct {
	u     registry.Upload
	repo  string
	audit *Audit
}

func (a *auditedUpload) ID() string  { return a.u.ID() }
func (a *auditedUpload) Size() int64 { return a.u.Size() }

func (a *auditedUpload) Append(ctx context.Context, offset int64, r io.Reader) error {
	return a.u.Append(ctx, offset, r)
}

func (a *auditedUpload) Commit(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	desc, err := a.u.Commit(ctx, d)
	a.audit.record(ctx, "push_blob", err, "repo", a.repo, "digest", string(d))
	return desc, err
}

func (a *auditedUpload) Cancel(ctx context.Context) error { return a.u.Cancel(ctx) }

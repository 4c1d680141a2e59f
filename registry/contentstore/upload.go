package contentstore

import (
	"bufio"
	"context"
	"encoding"
	"errors"
	"hash"
	"io"
	"strings"

	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// upload is a registry.Upload; all of its state is in its id and in the store.
type upload struct {
	r    *Registry
	repo string
	id   string
	name string // of what it has stored
	s    session
	ptr  store.Pointer // absent before the first chunk
}

// StartUpload implements registry.Writer. It writes nothing.
func (r *Registry) StartUpload(ctx context.Context, repo string) (registry.Upload, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	secret, err := r.ticketSecret(ctx)
	if err != nil {
		return nil, err
	}
	t := newTicket(r.now().Add(r.lifetime))
	s := session{Image: repo, Expires: t.expires.UTC()}
	return &upload{r, repo, t.id(secret, repo, r.owner(ctx)), t.session(), s, store.Absent(sessionName(t.session()))}, nil
}

// ResumeUpload implements registry.Writer.
func (r *Registry) ResumeUpload(ctx context.Context, repo, id string) (registry.Upload, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	secret, err := r.ticketSecret(ctx)
	if err != nil {
		return nil, err
	}
	t, ok := parseTicket(id, secret, repo, r.owner(ctx))
	if !ok {
		return nil, registry.Errorf(registry.CodeUploadUnknown, "image %s has no such upload", repo)
	}
	s, ptr, err := r.loadSession(ctx, repo, t)
	if err != nil {
		return nil, err
	}
	return &upload{r, repo, id, t.session(), s, ptr}, nil
}

func (u *upload) ID() string  { return u.id }
func (u *upload) Size() int64 { return u.s.Size }

// Append stores the chunk as an object and then names it in the session. A
// chunk that breaks off, or that lost against another at the same offset, adds
// nothing.
func (u *upload) Append(ctx context.Context, offset int64, body io.Reader) error {
	if offset != u.s.Size {
		return registry.Errorf(registry.CodeRangeInvalid, "chunk starts at %d, the upload has %d bytes", offset, u.s.Size)
	}
	if len(u.s.Chunks) >= maxChunks {
		return registry.Errorf(registry.CodeBlobUploadInvalid, "upload has %d chunks already; send larger ones", maxChunks)
	}
	peek := bufio.NewReader(body)
	if _, err := peek.Peek(1); err == io.EOF {
		return nil // nothing to add
	}
	h, err := u.s.hasher()
	if err != nil {
		return err
	}
	c := &counter{r: peek, hash: h}
	name := randomName()
	key := uploadKey(u.name) + name
	if err := u.r.put(ctx, key, c); err != nil {
		return err
	}
	u.r.received.add(name)
	next := u.s
	if next.Hash, err = h.(encoding.BinaryMarshaler).MarshalBinary(); err != nil {
		return err
	}
	next.Size += c.n
	next.Expires = u.r.now().Add(u.r.lifetime).UTC()
	next.Chunks = append(next.Chunks[:len(next.Chunks):len(next.Chunks)], chunk{name, c.n})
	ptr, err := u.r.saveSession(ctx, u.ptr, next)
	if errors.Is(err, store.ErrConflict) {
		return errors.Join(u.overtaken(ctx), u.r.store.Delete(ctx, key))
	}
	if err != nil {
		return err
	}
	u.s, u.ptr = next, ptr
	return nil
}

// overtaken tells a client whose chunk lost whether there still is an upload
// to go on with: one that ended or expired meanwhile has no range to ask for.
func (u *upload) overtaken(ctx context.Context) error {
	_, err := u.r.pointers.Load(ctx, u.ptr.Name)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return registry.Errorf(registry.CodeUploadUnknown, "the upload was finished, cancelled or expired meanwhile")
	case err != nil:
		return coded(err)
	}
	return registry.Errorf(registry.CodeRangeInvalid, "another request changed the upload meanwhile; ask for its range")
}

// counter counts and hashes what passes.
type counter struct {
	r    io.Reader
	hash hash.Hash
	n    int64
}

var _ store.Inspected = (*counter)(nil)

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_ = c.Inspect(p[:n]) // which cannot fail
	return n, err
}

// Source implements store.Inspected.
func (c *counter) Source() io.Reader { return c.r }

// Inspect implements store.Inspected.
func (c *counter) Inspect(p []byte) error {
	c.hash.Write(p)
	c.n += int64(len(p))
	return nil
}

// Finish implements store.Inspected.
func (c *counter) Finish(err error) error { return err }

// Commit implements registry.Upload. After an error the upload is as it was.
func (u *upload) Commit(ctx context.Context, d digest.Digest) (ocispec.Descriptor, error) {
	if err := registry.CheckDigest(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := u.checkHash(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	for n := 1; ; n++ {
		err := u.store(ctx, d)
		if err == nil {
			break
		}
		if n == pushAttempts || !errors.Is(err, registry.CodeTooManyRequests) {
			return ocispec.Descriptor{}, err
		} // it was collected meanwhile, and the chunks are still here
	}
	// The blob is safe; what is left of the upload is pruned one day.
	_ = u.Cancel(ctx)
	return ocispec.Descriptor{MediaType: blobMediaType, Digest: d, Size: u.s.Size}, nil
}

// checkHash refuses a wrong sha256 digest without reading the bytes again.
func (u *upload) checkHash(d digest.Digest) error {
	if d.Algorithm() != digest.SHA256 {
		return nil
	}
	h, err := u.s.hasher()
	if err != nil {
		return err
	}
	if got := digest.NewDigest(digest.SHA256, h); got != d {
		return registry.Errorf(registry.CodeDigestInvalid, "upload has digest %s, not %s", got, d)
	}
	return nil
}

// store makes the chunks a blob. One chunk with a known hash is copied by the
// store where it can; otherwise all are read and hashed again.
func (u *upload) store(ctx context.Context, d digest.Digest) error {
	group, settle := store.Group(u.r.store)
	if c, ok := group.(store.Copier); ok && len(u.s.Chunks) == 1 && d.Algorithm() == digest.SHA256 && u.trusts(u.s.Chunks[0]) {
		if err := c.Copy(ctx, u.key(0), store.BlobKey(d)); err != nil {
			return u.gone(coded(err))
		}
		if err := errors.Join(group.Put(ctx, store.BlobLinkKey(u.repo, d), strings.NewReader("")), settle(ctx)); err != nil {
			return coded(err)
		}
		return u.r.keepLinked(ctx, u.repo, d)
	}
	body := &chunkReader{chunks: len(u.s.Chunks), at: func(i int) (io.ReadCloser, error) {
		return u.r.store.Open(ctx, u.key(i), 0, -1)
	}}
	defer body.Close()
	return u.gone(u.r.addBlob(ctx, u.repo, d, u.s.Size, body))
}

func (u *upload) key(i int) string { return uploadKey(u.name) + u.s.Chunks[i].Name }

// trusts tells whether a chunk's bytes are those that were hashed when it came
// in: sure of what this very process has written, while any other may have
// been lost with the machine (see store.UploadsPrefix).
func (u *upload) trusts(c chunk) bool { return u.r.received.has(c.Name) }

// gone: chunks vanish when another request commits or cancels the upload.
func (u *upload) gone(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return registry.Errorf(registry.CodeUploadUnknown, "the upload was finished or cancelled meanwhile: %w", err)
	}
	return err
}

// Cancel implements registry.Upload.
func (u *upload) Cancel(ctx context.Context) error {
	if !u.ptr.Exists() {
		u.r.spent.add(u.name)
		return nil
	}
	if err := u.r.pointers.Delete(ctx, u.ptr); err != nil {
		if errors.Is(err, store.ErrConflict) {
			return registry.Errorf(registry.CodeUploadUnknown, "another request changed the upload meanwhile")
		}
		return coded(err)
	}
	u.r.spent.add(u.name)
	for i := range u.s.Chunks {
		if err := u.r.store.Delete(ctx, u.key(i)); err != nil {
			return coded(err)
		}
	}
	return nil
}

// chunkReader reads the chunks one after another, each opened at its turn.
type chunkReader struct {
	chunks int
	at     func(i int) (io.ReadCloser, error)
	next   int
	open   io.ReadCloser
}

func (c *chunkReader) Read(p []byte) (int, error) {
	for {
		if c.open == nil {
			if c.next == c.chunks {
				return 0, io.EOF
			}
			rc, err := c.at(c.next)
			if err != nil {
				return 0, err
			}
			c.open = rc
			c.next++
		}
		n, err := c.open.Read(p)
		if err == io.EOF {
			err = errors.Join(c.Close())
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *chunkReader) Close() error {
	if c.open == nil {
		return nil
	}
	err := c.open.Close()
	c.open = nil
	return err
}

package s3store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

// Pointers is the store.Pointers of a Store.
type Pointers struct{ s *Store }

var _ store.Pointers = (*Pointers)(nil)

// Pointers returns the mutable half of the store.
func (s *Store) Pointers() *Pointers { return &Pointers{s} }

// Load implements store.Pointers.
func (p *Pointers) Load(ctx context.Context, name string) (store.Pointer, error) {
	ptr, err := p.load(ctx, name)
	if err != nil {
		return store.Pointer{}, fmt.Errorf("load %s: %w", name, err)
	}
	return ptr, nil
}

func (p *Pointers) load(ctx context.Context, name string) (store.Pointer, error) {
	if err := errors.Join(store.CheckKey(name), ctx.Err()); err != nil {
		return store.Pointer{}, err
	}
	etag, r, err := p.read(ctx, p.s.pointerKey(name))
	if err == nil && (etag == "" || r.tombstone) {
		err = store.ErrNotFound
	}
	if err != nil {
		return store.Pointer{}, err
	}
	return store.Pointer{Name: name, Value: r.value, Revision: revision{etag, r.nonces}.String()}, nil
}

// read fetches the object of a pointer; the ETag is "" if there is none.
func (p *Pointers) read(ctx context.Context, key string) (etag string, r record, err error) {
	type answer struct {
		etag string
		data []byte
	}
	a, err := retry(ctx, p.s, func(ctx context.Context) (answer, error) {
		etag, data, err := p.s.fetch(ctx, key, headLength+store.MaxPointerSize)
		if isAbsent(err) {
			return answer{}, nil
		}
		return answer{etag, data}, err
	})
	if err != nil || a.etag == "" {
		return "", record{}, err
	}
	r, err = decodeRecord(a.data)
	return a.etag, r, err
}

// fetch reads a small object whole, in one request.
func (s *Store) fetch(ctx context.Context, key string, limit int64) (etag string, data []byte, err error) {
	body, info, _, err := s.api.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", nil, err
	}
	defer body.Close()
	data, err = io.ReadAll(io.LimitReader(body, limit+1))
	switch {
	case err != nil:
		return "", nil, err
	case int64(len(data)) > limit:
		return "", nil, fmt.Errorf("object %s has more than %d bytes", key, limit)
	case info.ETag == "":
		return "", nil, errNoETag
	}
	return info.ETag, data, nil
}

// condition of a write: of creating a key with etag "", else of replacing.
func (s *Store) condition(etag string) minio.PutObjectOptions {
	o := minio.PutObjectOptions{DisableMultipart: true, DisableContentSha256: true, ServerSideEncryption: s.sse}
	if etag == "" {
		o.SetMatchETagExcept("*")
	} else {
		o.SetMatchETag(etag)
	}
	return o
}

// send makes one conditional write, in one request, and returns the new ETag.
func (s *Store) send(ctx context.Context, key string, data []byte, etag string) (string, error) {
	sum := sha256.Sum256(data)
	info, err := s.api.PutObject(ctx, s.bucket, key, bytes.NewReader(data), int64(len(data)), "", hex.EncodeToString(sum[:]), s.condition(etag))
	if err == nil && info.ETag == "" {
		err = errNoETag
	}
	return info.ETag, err
}

// Swap implements store.Pointers.
func (p *Pointers) Swap(ctx context.Context, old store.Pointer, next []byte) (store.Pointer, error) {
	if err := errors.Join(store.CheckKey(old.Name), ctx.Err()); err != nil {
		return store.Pointer{}, fmt.Errorf("swap %s: %w", old.Name, err)
	}
	if len(next) > store.MaxPointerSize {
		return store.Pointer{}, fmt.Errorf("swap %s: value has %d bytes, at most %d", old.Name, len(next), store.MaxPointerSize)
	}
	value := bytes.Clone(next)
	rev, err := p.swap(ctx, old, record{value: value})
	if err != nil {
		return store.Pointer{}, fmt.Errorf("swap %s: %w", old.Name, err)
	}
	return store.Pointer{Name: old.Name, Value: value, Revision: rev.String()}, nil
}

// Delete implements store.Pointers.
func (p *Pointers) Delete(ctx context.Context, old store.Pointer) error {
	err := errors.Join(store.CheckKey(old.Name), ctx.Err())
	switch {
	case err != nil:
	case old.Exists():
		_, err = p.swap(ctx, old, record{tombstone: true})
	default:
		if _, err = p.load(ctx, old.Name); err == nil {
			err = store.ErrConflict
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", old.Name, err)
	}
	return nil
}

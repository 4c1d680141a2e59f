package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

var (
	_ store.Store        = (*Store)(nil)
	_ store.Copier       = (*Store)(nil)
	_ store.FolderLister = (*Store)(nil)
	_ store.Redirector   = (*Store)(nil)
)

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, key string) (store.Info, error) {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	info, err := s.head(ctx, key)
	if err != nil {
		return store.Info{}, fmt.Errorf("stat %s: %w", key, err)
	}
	return info, nil
}

// head is Stat; the answer has no body, so a missing bucket looks like a
// missing object: Open has seen the bucket.
func (s *Store) head(ctx context.Context, key string) (store.Info, error) {
	info, err := retry(ctx, s, func(ctx context.Context) (minio.ObjectInfo, error) {
		return s.api.StatObject(ctx, s.bucket, s.objectKey(key), minio.StatObjectOptions{})
	})
	if isAbsent(err) {
		err = store.ErrNotFound
	}
	return store.Info{Key: key, Size: info.Size, ModTime: info.LastModified}, err
}

// Open implements store.Store. A connection that breaks, or is silent for 20
// seconds, is replaced by one that goes on from there.
func (s *Store) Open(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	if offset < 0 {
		return nil, fmt.Errorf("open %s: negative offset %d", key, offset)
	}
	if length == 0 {
		if _, err := s.head(ctx, key); err != nil {
			return nil, fmt.Errorf("open %s: %w", key, err)
		}
		return http.NoBody, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	d := &objectReader{ctx: ctx, cancel: cancel, s: s, key: key, offset: offset, rest: length, patience: patience{s: s}}
	if err := d.connect(); err != nil {
		cancel()
		return nil, fmt.Errorf("open %s: %w", key, err)
	}
	return d, nil
}

// Delete implements store.Store.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := errors.Join(store.CheckKey(key), ctx.Err())
	if err == nil {
		err = s.write(ctx)
	}
	if err == nil {
		err = refusedWrite(s.remove(ctx, s.objectKey(key)))
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

func (s *Store) remove(ctx context.Context, key string) error {
	_, err := retry(ctx, s, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.api.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
	})
	if isAbsent(err) {
		return nil
	}
	return err
}

// maxURLLifetime is the longest that services sign for.
const maxURLLifetime = 7 * 24 * time.Hour

// URL implements store.Redirector with a presigned URL. lifetime is at most a
// week; where the credentials end sooner, so does the URL.
func (s *Store) URL(ctx context.Context, key string, lifetime time.Duration) (string, error) {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return "", fmt.Errorf("url of %s: %w", key, err)
	}
	u, err := s.api.PresignedGetObject(ctx, s.bucket, s.objectKey(key), min(max(lifetime, time.Second), maxURLLifetime), nil)
	if err != nil {
		return "", fmt.Errorf("url of %s: %w", key, s.explain(err))
	}
	return u.String(), nil
}

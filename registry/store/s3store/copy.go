package s3store

import (
	"context"
	"errors"
	"fmt"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

// copyPart is how much is copied with one request, in bytes: services copy at
// most 5 GiB at once, and take their time.
const copyPart = 512 << 20

// Copy implements store.Copier: the service copies.
func (s *Store) Copy(ctx context.Context, from, to string) error {
	if err := s.copy(ctx, from, to); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}

func (s *Store) copy(ctx context.Context, from, to string) error {
	if err := errors.Join(store.CheckKey(from), store.CheckKey(to), ctx.Err()); err != nil {
		return err
	}
	if err := s.write(ctx); err != nil {
		return err
	}
	info, err := s.head(ctx, from)
	if err != nil {
		return err
	}
	switch _, err := s.head(ctx, to); {
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if info.Size > copyPart {
		return s.copyParts(ctx, from, to, info.Size)
	}
	return s.copyWhole(ctx, from, to, info.Size)
}

// copyWhole copies with one request. Where another made the object meanwhile
// it is replaced by the same bytes: not all services take conditions here.
func (s *Store) copyWhole(ctx context.Context, from, to string, size int64) error {
	dst := minio.CopyDestOptions{Bucket: s.bucket, Object: s.objectKey(to), Encryption: s.sse}
	src := minio.CopySrcOptions{Bucket: s.bucket, Object: s.objectKey(from)}
	again := patience{s: s}
	for {
		_, err := attempt(ctx, s.copyTimeout(size), func(ctx context.Context) (minio.UploadInfo, error) {
			return s.api.Client.CopyObject(ctx, dst, src)
		})
		if err == nil {
			return nil
		}
		if err := s.copyAgain(ctx, &again, err); err != nil {
			return err
		}
	}
}

// copyAgain waits before another attempt, or says why there is none.
func (s *Store) copyAgain(ctx context.Context, again *patience, err error) error {
	switch v := judge(ctx, err); {
	case ctx.Err() != nil:
		return ctx.Err()
	case isAbsent(err):
		return store.ErrNotFound
	case v == fatal, v == refused:
		return refusedWrite(s.explain(err))
	}
	return again.next(ctx, err)
}

func (s *Store) copyParts(ctx context.Context, from, to string, size int64) error {
	up, err := s.begin(ctx, s.objectKey(to))
	if err != nil {
		return err
	}
	for number, offset := 1, int64(0); offset < size; number, offset = number+1, offset+copyPart {
		if err := s.copyPiece(ctx, up, from, number, offset, min(copyPart, size-offset)); err != nil {
			up.abort(ctx)
			return err
		}
	}
	return up.complete(ctx, func(ctx context.Context) error {
		_, err := s.head(ctx, to)
		return err
	})
}

func (s *Store) copyPiece(ctx context.Context, up *upload, from string, number int, offset, length int64) error {
	again := patience{s: s}
	for {
		p, err := attempt(ctx, s.copyTimeout(length), func(ctx context.Context) (minio.CompletePart, error) {
			return s.api.CopyObjectPart(ctx, s.bucket, s.objectKey(from), s.bucket, up.key, up.id, number, offset, length, nil)
		})
		if err == nil {
			up.add(minio.CompletePart{PartNumber: number, ETag: p.ETag}, length)
			return nil
		}
		if err := s.copyAgain(ctx, &again, err); err != nil {
			return err
		}
	}
}

package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

// small is what is sent at once, in bytes: of more it is asked first whether
// it is there.
const small = 64 << 10

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) error {
	if err := s.put(ctx, key, r); err != nil {
		return fmt.Errorf("put %s: %w", key, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, key string, r io.Reader) error {
	if err := errors.Join(store.CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	if err := s.write(ctx); err != nil {
		return err
	}
	head, ended, err := beginning(ctx, r)
	if err != nil {
		return err
	}
	if ended {
		return s.putWhole(ctx, key, memoryPart(head, true, nil))
	}
	switch _, err := s.head(ctx, key); {
	case err == nil:
		return nil
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	r = io.MultiReader(bytes.NewReader(head), r)
	first, err := s.parts.fill(ctx, r, 1)
	if err != nil {
		return err
	}
	if first.last {
		defer first.free()
		return s.putWhole(ctx, key, first)
	}
	return s.putParts(ctx, key, first, r)
}

// beginning reads what is sent at once if there is no more. Most is much less.
func beginning(ctx context.Context, r io.Reader) (head []byte, ended bool, err error) {
	head = make([]byte, 4<<10)
	n, ended, err := readFull(ctx, r, head)
	if ended || err != nil {
		return head[:n], ended, err
	}
	head = append(make([]byte, 0, small), head...)[:small]
	more, ended, err := readFull(ctx, r, head[n:])
	return head[:n+more], ended, err
}

// putWhole creates an object with one request. One that is there is kept.
func (s *Store) putWhole(ctx context.Context, key string, p part) error {
	again := patience{s: s}
	for {
		_, err := moving(ctx, s.limits.timeout, p, func(ctx context.Context, body io.Reader) (minio.UploadInfo, error) {
			return s.api.PutObject(ctx, s.bucket, s.objectKey(key), body, p.size, "", p.sum, s.condition(""))
		})
		if err == nil {
			return nil
		}
		switch verdict := judge(ctx, err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case verdict == refused:
			return nil // it is there: ours, or the same bytes of another
		case verdict == fatal:
			return refusedWrite(s.explain(err))
		case verdict == unknown && p.size > small:
			if _, err := s.head(ctx, key); err == nil {
				return nil // without sending the body again
			}
		}
		if err := again.next(ctx, err); err != nil {
			return err
		}
	}
}

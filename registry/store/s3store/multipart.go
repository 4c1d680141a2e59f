package s3store

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

const (
	// sending is how many parts of an object are under way at once.
	sending = 2
	// maxParts is how many parts services take.
	maxParts = 10_000
)

// putParts stores an object part by part. It is visible when all are there.
func (s *Store) putParts(ctx context.Context, key string, first part, r io.Reader) error {
	up, err := s.begin(ctx, s.objectKey(key))
	if err != nil {
		first.free()
		return err
	}
	if err := up.send(ctx, first, r); err != nil {
		up.abort(ctx)
		return err
	}
	return up.complete(ctx, func(ctx context.Context) error {
		_, err := s.head(ctx, key)
		return err
	})
}

// upload is an upload in parts.
type upload struct {
	s   *Store
	key string // the bucket's
	id  string

	mu   sync.Mutex
	done []minio.CompletePart
	size int64 // of those, in bytes
	err  error // the first of a part
	cut  bool  // a part was cut off: the service may still be at it
}

// copyTimeout is how long the service may take to copy so much by itself.
func (s *Store) copyTimeout(size int64) time.Duration {
	return s.limits.timeout + time.Duration(size>>20)*20*time.Millisecond
}

// begin starts an upload. A lost answer leaves an empty upload, which a sweep
// finds one day.
func (s *Store) begin(ctx context.Context, key string) (*upload, error) {
	id, err := retry(ctx, s, func(ctx context.Context) (string, error) {
		return s.api.NewMultipartUpload(ctx, s.bucket, key, minio.PutObjectOptions{ServerSideEncryption: s.sse})
	})
	return &upload{s: s, key: key, id: id}, refusedWrite(err)
}

// send reads and sends until r ends: while parts are on their way the next is
// read.
func (u *upload) send(ctx context.Context, p part, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make(chan struct{}, sending)
	var wg sync.WaitGroup
	defer wg.Wait()
	for number := 1; ; number++ {
		if number > maxParts {
			p.free()
			return errors.New("object is too large: more than 10,000 parts")
		}
		slots <- struct{}{}
		if err := u.failed(); err != nil {
			p.free()
			return err
		}
		now := p
		wg.Go(func() {
			defer func() { <-slots }()
			defer now.free()
			if err := u.sendPart(ctx, number, now); err != nil {
				u.fail(err)
				cancel()
			}
		})
		if p.last {
			break
		}
		var err error
		if p, err = u.s.parts.fill(ctx, r, number+1); err != nil {
			if failed := u.failed(); failed != nil {
				return failed
			}
			return err
		}
		if p.last && p.size == 0 {
			p.free()
			break
		}
	}
	wg.Wait()
	return u.failed()
}

func (u *upload) fail(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err == nil {
		u.err = err
	}
}

func (u *upload) failed() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.err
}

func (u *upload) sendPart(ctx context.Context, number int, p part) error {
	again := patience{s: u.s}
	for {
		sent, err := moving(ctx, u.s.limits.timeout, p, func(ctx context.Context, body io.Reader) (minio.ObjectPart, error) {
			return u.s.api.PutObjectPart(ctx, u.s.bucket, u.key, u.id, number, body, p.size,
				minio.PutObjectPartOptions{Sha256Hex: p.sum, DisableContentSha256: true})
		})
		if err == nil {
			u.add(minio.CompletePart{PartNumber: number, ETag: sent.ETag}, p.size)
			return nil
		}
		if ctx.Err() != nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.cut = true
			return ctx.Err()
		}
		if v := judge(ctx, err); v == fatal || v == refused {
			return u.s.explain(err)
		}
		if err := again.next(ctx, err); err != nil {
			return err
		}
	}
}

func (u *upload) add(p minio.CompletePart, size int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.done = append(u.done, p)
	u.size += size
}

// complete makes the object visible, unless one is there. It is asked for
// again until there is an answer: after a lost one the upload may be gone,
// because it became the object. there looks for that.
func (u *upload) complete(ctx context.Context, there func(ctx context.Context) error) error {
	slices.SortFunc(u.done, func(a, b minio.CompletePart) int { return a.PartNumber - b.PartNumber })
	o := minio.PutObjectOptions{ServerSideEncryption: u.s.sse}
	o.SetMatchETagExcept("*")
	again := patience{s: u.s}
	for {
		_, err := attempt(ctx, u.s.copyTimeout(u.size), func(ctx context.Context) (minio.UploadInfo, error) {
			return u.s.api.CompleteMultipartUpload(ctx, u.s.bucket, u.key, u.id, u.done, o)
		})
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			u.abort(ctx)
			return ctx.Err()
		}
		verdict := judge(ctx, err)
		if verdict == refused {
			u.abort(ctx)
			return nil // it is there, from another
		}
		if isNotImplemented(err) && o.Header().Get("If-None-Match") != "" {
			o = minio.PutObjectOptions{ServerSideEncryption: u.s.sse} // what another puts meanwhile has the same bytes
			continue
		}
		if verdict == fatal || verdict == unknown {
			switch seen := there(ctx); {
			case seen == nil:
				u.abort(ctx)
				return nil
			case verdict == fatal, !errors.Is(seen, store.ErrNotFound):
				u.abort(ctx)
				return refusedWrite(u.s.explain(err))
			}
		}
		if err := again.next(ctx, err); err != nil {
			u.abort(ctx)
			return err
		}
	}
}

// abortTries is how often abort looks whether a part came after it.
const abortTries = 4

// abort throws the parts away, also when ctx ended. What it cannot, a sweep
// does one day.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), u.s.limits.timeout)
	defer cancel()
	for i := range abortTries {
		_, _ = retry(ctx, u.s, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, u.s.api.AbortMultipartUpload(ctx, u.s.bucket, u.key, u.id)
		})
		if !u.cut {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond << i):
		}
		_, err := u.s.api.ListObjectParts(ctx, u.s.bucket, u.key, u.id, 0, 1)
		if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
			return
		}
	}
}

package s3store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"
	"time"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

// listed is a key of the bucket in a listing.
type listed struct {
	name    string // of the object or pointer
	pointer bool
	minio.ObjectInfo
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for l, err := range s.list(ctx, prefix, s.objectKey(askable(after))) {
			switch {
			case err != nil:
				yield(store.Info{}, fmt.Errorf("list %s: %w", prefix, err))
				return
			case l.pointer || l.name <= after:
				continue
			}
			if !yield(store.Info{Key: l.name, Size: l.Size, ModTime: l.LastModified}, nil) {
				return
			}
		}
	}
}

// list yields objects and pointers whose names begin with prefix, behind the
// bucket's key after, in byte order.
func (s *Store) list(ctx context.Context, prefix, after string) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		if !begins(prefix) { // services that keep folders refuse to be asked
			return
		}
		for info, err := range s.keys(ctx, s.objectKey(askable(prefix)), after, true) {
			if err != nil {
				yield(listed{}, err)
				return
			}
			name, pointer, ok := s.parseKey(info.Key)
			if !ok || !strings.HasPrefix(name, prefix) {
				continue
			}
			if !yield(listed{name, pointer, info}, nil) {
				return
			}
		}
	}
}

// begins tells whether any key may begin with prefix.
func begins(prefix string) bool {
	return prefix == "" || store.CheckKey(prefix) == nil || store.CheckKey(prefix+"x") == nil
}

// askable is prefix without a last part that such services take for a folder.
func askable(prefix string) string {
	dir, last := path.Split(prefix)
	if last == "." || last == ".." {
		return dir
	}
	return prefix
}

// keys yields the bucket's keys behind after that begin with prefix; without
// deep also the folders below it, each with its slash. A listing that breaks
// goes on behind the last key.
func (s *Store) keys(ctx context.Context, prefix, after string, deep bool) iter.Seq2[minio.ObjectInfo, error] {
	return func(yield func(minio.ObjectInfo, error) bool) {
		p := patience{s: s}
		owner := false
		for {
			o := minio.ListObjectsOptions{Prefix: prefix, StartAfter: after, Recursive: deep, FetchOwner: &owner}
			done, err := s.listFrom(ctx, o, func(info minio.ObjectInfo) bool {
				p.made, after = 0, max(after, info.Key)
				return yield(info, nil)
			})
			if done {
				return
			}
			switch v := judge(ctx, err); {
			case ctx.Err() != nil:
				err = ctx.Err()
			case v == fatal, v == refused, errors.Is(err, ErrUnfit):
				err = s.explain(err)
			default:
				err = p.next(ctx, err)
			}
			if err != nil {
				yield(minio.ObjectInfo{}, err)
				return
			}
		}
	}
}

// listFrom is one listing. It is done when it came to its end or yield wanted
// no more; else err says why it broke: no page may take longer than a request.
func (s *Store) listFrom(ctx context.Context, o minio.ListObjectsOptions, yield func(minio.ObjectInfo) bool) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	timer := time.AfterFunc(s.limits.timeout, cancel)
	defer timer.Stop()
	last := o.StartAfter
	for info := range s.api.ListObjectsIter(ctx, s.bucket, o) {
		timer.Stop()
		if info.Err != nil {
			return false, info.Err
		}
		if o.Recursive && info.Key <= last && last != "" {
			return false, s.unfit("it lists %q behind %q: not in byte order", info.Key, last)
		}
		if last = info.Key; !yield(info) {
			return true, nil
		}
		timer.Reset(s.limits.timeout)
	}
	return ctx.Err() == nil, ctx.Err() // a listing that is cancelled ends without an error
}

// Folders implements store.FolderLister.
func (s *Store) Folders(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := "" // the last, of a name that lies in pieces
		s.folders(ctx, s.objectKey(prefix), "", func(name string, err error) bool {
			if err != nil {
				err = fmt.Errorf("list folders of %s: %w", prefix, err)
			} else if name == seen || (prefix == "" && (name == "tmp" || name == "locks")) {
				return true
			}
			seen = name
			return yield(name, err)
		})
	}
}

// folders yields the folders in prefix, a folder of the bucket: start is what
// their names begin with as far as that lies in prefix, encoded.
func (s *Store) folders(ctx context.Context, prefix, start string, yield func(string, error) bool) bool {
	for info, err := range s.keys(ctx, prefix, "", false) {
		if err != nil {
			yield("", err)
			return false
		}
		rest := strings.TrimPrefix(info.Key, prefix)
		piece, folder := strings.CutSuffix(rest, "/")
		if start != "" && strings.HasPrefix(rest, "1") { // the name ended before
			piece, folder = "", true
		} else if start != "" {
			if piece == "" {
				continue
			}
			piece = "/" + piece
		}
		if !folder {
			continue
		}
		encoded := start + piece
		if piece != "" && len(strings.TrimPrefix(piece, "/")) >= pieceLength {
			if !s.folders(ctx, info.Key, encoded, yield) {
				return false
			}
			continue
		}
		if name, ok := decodeKey(encoded); ok && !yield(name, nil) {
			return false
		}
	}
	return true
}

package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"

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
		for l, err := range s.list(ctx, prefix, s.objectKey(after)) {
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
		for info, err := range s.keys(ctx, s.objectKey(prefix), after, true) {
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

// keys yields the bucket's keys behind after that begin with prefix; without
// deep also the folders below it, each with its slash. A listing that breaks
// goes on behind the last key.
func (s *Store) keys(ctx context.Context, prefix, after string, deep bool) iter.Seq2[minio.ObjectInfo, error] {
	return func(yield func(minio.ObjectInfo, error) bool) {
		p := patience{s: s}
		owner := false
		for {
			var broken error
			o := minio.ListObjectsOptions{Prefix: prefix, StartAfter: after, Recursive: deep, FetchOwner: &owner}
			for info := range s.api.ListObjectsIter(ctx, s.bucket, o) {
				if broken = info.Err; broken != nil {
					break
				}
				if deep && info.Key <= after && after != "" {
					yield(minio.ObjectInfo{}, s.unfit("it lists %q behind %q: not in byte order", info.Key, after))
					return
				}
				if p.made, after = 0, max(after, info.Key); !yield(info, nil) {
					return
				}
			}
			if ctx.Err() != nil {
				yield(minio.ObjectInfo{}, ctx.Err())
				return
			}
			if broken == nil {
				return
			}
			if v := judge(ctx, broken); v == fatal || v == refused {
				yield(minio.ObjectInfo{}, s.explain(broken))
				return
			}
			if err := p.next(ctx, broken); err != nil {
				yield(minio.ObjectInfo{}, err)
				return
			}
		}
	}
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

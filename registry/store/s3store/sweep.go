package s3store

import (
	"context"
	"strings"
	"time"
)

// sweepTime is how long sweepLeftovers may take.
const sweepTime = time.Minute

// sweepLeftovers aborts uploads and removes probes that dead processes left. It runs in
// the background, once in a process that writes; its errors mean that another
// will.
func (s *Store) sweepLeftovers(ctx context.Context) {
	s.sweepUploads(ctx)
	s.sweepProbes(ctx)
}

func (s *Store) sweepUploads(ctx context.Context) {
	keyMarker, idMarker := "", ""
	for {
		page, err := s.api.ListMultipartUploads(ctx, s.bucket, s.root, keyMarker, idMarker, "", 1000)
		if err != nil {
			return
		}
		for _, up := range page.Uploads {
			if strings.HasPrefix(up.Key, s.root) && time.Since(up.Initiated) > s.limits.stale {
				(&upload{s: s, key: up.Key, id: up.UploadID}).abort(ctx)
			}
		}
		keyMarker, idMarker = page.NextKeyMarker, page.NextUploadIDMarker
		if !page.IsTruncated || keyMarker == "" {
			return
		}
	}
}

func (s *Store) sweepProbes(ctx context.Context) {
	for info, err := range s.keys(ctx, s.tmpKey("probe/"), "", true) {
		if err != nil {
			return
		}
		if time.Since(info.LastModified) > s.limits.stale {
			_ = s.remove(ctx, info.Key)
		}
	}
}

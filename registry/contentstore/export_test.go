package contentstore

import "time"

// SetTerm changes how long a collector's term is.
func (r *Registry) SetTerm(d time.Duration) { r.term = d }

// BlobDigest reverses store.BlobKey.
var BlobDigest = blobDigest

// CachedBytes is how much the contents of kept manifests take.
func (r *Registry) CachedBytes() int {
	n := 0
	for _, half := range []map[cacheKey]*keptManifest{r.manifests.young, r.manifests.aged} {
		for _, m := range half {
			n += len(m.content)
		}
	}
	return n
}

package contentstore

import "time"

// SetTerm changes how long a collector's term is.
func (r *Registry) SetTerm(d time.Duration) { r.term = d }

// BlobDigest reverses store.BlobKey.
var BlobDigest = blobDigest

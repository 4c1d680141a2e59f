package bake

import (
	"bytes"
	"sync"

	"github.com/opencontainers/go-digest"
)

// heldRecord is a record as the store has it. Most are asked for one key, which
// they do not name: they are read as JSON only when somebody looks closer.
type heldRecord struct {
	data            []byte
	image           string
	version, digest digest.Digest

	once sync.Once
	rec  *StoredRecord
}

// mentions says whether the text has a cache key in it, which is plain hex.
func (h *heldRecord) mentions(k string) bool { return bytes.Contains(h.data, []byte(k)) }

// read is the record; nil if it cannot be understood or is another image's.
func (h *heldRecord) read() *StoredRecord {
	h.once.Do(func() {
		rec, err := ParseRecord(h.data)
		if err == nil && rec.Image.FullName == h.image {
			h.rec = &StoredRecord{Record: rec, Name: h.image, Version: h.version, Digest: h.digest}
		}
	})
	return h.rec
}

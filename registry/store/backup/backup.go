// Package backup copies a store that others are using: into one tar stream, or
// into another place for a store, which then is brought up to date by copying
// what it lacks. It knows the names in package store, and any two stores.
//
// What a backup holds is consistent: all that was acknowledged before it began,
// and of what came later only what is whole. It reads in the order opposite to
// the one in which writers write: first the bytes of most blobs, then the
// pointers (channels before tags), then links and entries, then links of
// blobs, and last the bytes that came meanwhile. So whatever is in it finds
// what it refers to. What a deletion or a collection takes meanwhile is left
// out with what named it; should that be the target of a tag that moved, it
// begins again behind the bulk of the bytes. A referrer that was deleted
// meanwhile may stay as a manifest that its subject does not list.
//
// Left out are uploads, the collector's marks, the quarantine, and the
// derived index of the ledger, which is made again where it is missing. Keys
// are in no store, so they are in no backup.
//
// A place that holds a backup, or half of a restored store, has the pointer
// store.BackupPointer and no format: nothing takes it for a store.
package backup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// ErrDamaged: a backup is cut short, or is not what was written. Nothing that
// was restored from it counts.
var ErrDamaged = errors.New("backup is damaged")

// ErrTaken: the destination holds something else. Choose another.
var ErrTaken = errors.New("destination is not empty")

// Place is the two halves of a store, or of where one can be.
type Place struct {
	Objects  store.Store
	Pointers store.Pointers
}

// Report is what was copied.
type Report struct {
	StoreID  string
	Objects  int   // copied; what was there already is not counted
	Pointers int   // in the backup
	Bytes    int64 // of the objects copied
	// Damaged blobs did not match their digest where they came from. They are
	// left out.
	Damaged []digest.Digest
}

// Schema names the form of a backup, in its first entry and its marker.
const Schema = "kiln.backup-archive/v1"

// head is the first entry of a tar, and the value of store.BackupPointer.
type head struct {
	Schema  string `json:"schema"`
	StoreID string `json:"store_id"`
	// Restoring marks a store that is being restored.
	Restoring bool      `json:"restoring,omitempty"`
	Begun     time.Time `json:"begun"`
	Finished  time.Time `json:"finished,omitzero"` // the last time that all was copied
}

// class is how an object is dealt with.
type class int

const (
	classOut      class = iota // not in backups
	classEntry                 // links and entries, small
	classBlobLink              // images/<i>/blobs/<digest>
	classBlob
)

func classify(key string) class {
	first, rest, _ := strings.Cut(key, "/")
	switch first + "/" {
	case store.UploadsPrefix, store.GCPrefix, store.QuarantinePrefix:
		return classOut
	case store.BlobsPrefix:
		return classBlob
	case store.ImagesPrefix:
		_, rest, _ = strings.Cut(rest, "/")
		switch kind, _, _ := strings.Cut(rest, "/"); kind {
		case "ledger":
			return classOut
		case "blobs":
			return classBlobLink
		}
	}
	return classEntry
}

// pointerOut tells the pointers that are not in backups.
func pointerOut(name string) bool {
	first, rest, _ := strings.Cut(name, "/")
	switch {
	case name == store.FormatPointer, name == store.BackupPointer:
		return true
	case first+"/" == store.UploadsPrefix, first+"/" == store.GCPrefix:
		return true
	}
	_, rest, _ = strings.Cut(rest, "/")
	return first+"/" == store.ImagesPrefix && rest == "indexed"
}

// blobDigest reverses store.BlobKey; "" for another key.
func blobDigest(key string) digest.Digest {
	parts := strings.Split(strings.TrimPrefix(key, store.BlobsPrefix), "/")
	if len(parts) != 3 {
		return ""
	}
	d := digest.Digest(parts[0] + ":" + parts[2])
	if d.Validate() != nil || store.BlobKey(d) != key {
		return ""
	}
	return d
}

// needed is the blob without which a link or a referrer's entry means nothing;
// "" for other objects.
func needed(key string) digest.Digest {
	rest, ok := strings.CutPrefix(key, store.ImagesPrefix)
	if !ok {
		return ""
	}
	parts := strings.Split(rest, "/")
	var name string
	switch {
	case len(parts) == 3 && (parts[1] == "blobs" || parts[1] == "manifests"):
		name = parts[2]
	case len(parts) == 4 && parts[1] == "referrers":
		name = parts[3]
	}
	if d := digest.Digest(name); d.Validate() == nil {
		return d
	}
	return ""
}

// manifestOf is the link of the manifest that key is, or is a referrer's entry
// of; "" for other keys.
func manifestOf(key string) (link string, entry bool) {
	rest, _ := strings.CutPrefix(key, store.ImagesPrefix)
	switch parts := strings.Split(rest, "/"); {
	case len(parts) == 3 && parts[1] == "manifests":
		return key, false
	case len(parts) == 4 && parts[1] == "referrers":
		return store.ImagesPrefix + parts[0] + "/manifests/" + parts[3], true
	}
	return "", false
}

// readStoreID reads whose backup it is to be.
func readStoreID(ctx context.Context, p store.Pointers) (string, error) {
	f, err := store.ReadFormat(ctx, p)
	if err != nil {
		return "", fmt.Errorf("back up: %w", err)
	}
	return f.StoreID, nil
}

package filestore

import (
	"os"
	"sync"
	"syscall"
	"time"
)

// listings keeps what was read of large folders, in order, for as long as they
// do not change: a list of many pages reads and sorts them once. Safe for
// concurrent use; the zero value is empty.
type listings struct {
	mu   sync.Mutex
	kept map[listingKey]*listing
	size int // entries
}

type listingKey struct {
	dir  string
	want kind
}

type listing struct {
	at      identity // of the folder when it was read
	entries []entry  // nobody changes them
}

const (
	minListing  = 1000    // entries that are worth keeping
	maxListings = 200_000 // entries in all
)

// folderIdentity changes when an entry comes or goes. Of a folder that changed
// just now it says nothing: see rested.
func folderIdentity(dir string) (identity, bool) {
	info, err := os.Lstat(dir)
	if err != nil {
		return identity{}, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !rested(time.Unix(st.Ctim.Unix()), time.Now()) {
		return identity{}, false
	}
	if st.Ctim.Nsec == 0 { // a file system that may count seconds, in which much can happen
		return identity{}, false
	}
	return identity{st.Dev, st.Ino, st.Size, st.Mtim, st.Ctim}, true
}

func (l *listings) get(key listingKey, at identity) ([]entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := l.kept[key]
	if kept == nil || kept.at != at {
		return nil, false
	}
	return kept.entries, true
}

func (l *listings) put(key listingKey, at identity, entries []entry) {
	if len(entries) < minListing || len(entries) > maxListings {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if old := l.kept[key]; old != nil {
		l.size -= len(old.entries)
	}
	if l.kept == nil || l.size+len(entries) > maxListings {
		l.kept, l.size = map[listingKey]*listing{}, 0
	}
	l.kept[key] = &listing{at, entries}
	l.size += len(entries)
}

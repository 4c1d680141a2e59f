package bake

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// cacheFormat is part of every key: raise it when the same inputs would make
// other bytes (a new encoder, a mended normalisation).
const cacheFormat = "kiln.cache/v2"

// Cache is a folder of what earlier bakes made. Everything in it can be made
// again; what is found damaged counts as absent. Several bakes may share it:
// entries appear whole, by rename. Each is checked when it is used.
//
//	layers/<key>.json   what a step made      blobs/<digest>    layer files
//	index/<diffID>      path indexes          trees/<form>/<key>  unpacked layers
//	places/<key>.json   where copies land     components by digest in index/
//	scans/<key>.json    what scans found
//	scans/texts-<key>   hashes of texts in which they found nothing
//	stats/<key>         hashes of files by what lstat says of them, and where in a
//	                    step's last layer which compressed block lies, with
//	                    the states of its digests there
//	why/<key>.json      what a step's last key was made of
//	fetched/<sha256>    files that were fetched, programs that were built
//	git/<key>           repositories          mounts/<form>/<key>  of run steps
//	tests/<key>.json    passed tests          debs/, unpacked/  packages
//	archive/            what lock last saw    tmp/, running/    of running bakes
//
// What was not used for longest goes when the cache outgrows its limit: see
// [Cache.Prune]. Who can write to a cache can run as those who use it.
type Cache struct {
	dir string

	limit int64 // bytes; 0 is none

	mu    sync.Mutex
	used  []cachedLayer // what lookups found
	added int64         // bytes since the last look at the size
	end   func()        // of the lease

	spoilt map[digest.Digest]bool // layers of the store that are damaged there
	fresh  bool                   // one was found so since lost was asked
}

// OpenCache makes the folder if it is missing.
func OpenCache(dir string) (*Cache, error) {
	for _, sub := range []string{"layers", "blobs", "index", "places", "trees", "tests", "scans", "stats", "why", "debs", "unpacked", "archive", "running", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("open cache: %w (set KILN_CACHE to a writable folder)", err)
		}
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &Cache{dir: abs}
	c.sweep()
	if err := c.begin(); err != nil {
		return nil, fmt.Errorf("open cache: %w (set KILN_CACHE to a writable folder)", err)
	}
	return c, nil
}

func (c *Cache) path(parts ...string) string {
	return filepath.Join(append([]string{c.dir}, parts...)...)
}

// adopt renames a finished file or folder into the cache. Somebody else's
// equal entry wins.
func (c *Cache) adopt(from string, parts ...string) error {
	to := c.path(parts...)
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if info, err := os.Lstat(from); err == nil && info.Mode().IsRegular() {
		c.wrote(info.Size())
		touch(from, time.Time{})
	}
	err := os.Rename(from, to)
	if errors.Is(err, fs.ErrExist) || isNotEmpty(err) {
		return os.RemoveAll(from)
	}
	return err
}

// use notes that a bake counts on a layer.
func (c *Cache) use(layer cachedLayer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used = append(c.used, layer)
}

// spoil notes that a layer of the store is not to be counted on.
func (c *Cache) spoil(d digest.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spoilt == nil {
		c.spoilt = map[digest.Digest]bool{}
	}
	c.spoilt[d], c.fresh = true, true
}

func (c *Cache) isSpoilt(d digest.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spoilt[d]
}

// lost tells whether a layer that was counted on turned out to be damaged, so
// that its reader removed it. If so, it looks at all the others, too. It
// forgets what was counted on.
func (c *Cache) lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	again := c.fresh
	c.fresh = false
	gone := slices.ContainsFunc(c.used, func(l cachedLayer) bool {
		_, err := os.Stat(l.Path)
		return errors.Is(err, fs.ErrNotExist)
	})
	for _, l := range c.used {
		if gone {
			l.check()
		}
	}
	c.used = nil
	return gone || again
}

// key hashes parts, which must be JSON-encodable, into a cache key.
func key(kind string, parts ...any) string {
	data, err := json.Marshal(append([]any{cacheFormat, kind}, parts...))
	if err != nil {
		panic("bake: cache key of " + kind + ": " + err.Error()) // a programming error: parts are plain data
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// keyWith is key with a last part that is JSON already.
func keyWith(last []byte, kind string, parts ...any) string {
	data, err := json.Marshal(append([]any{cacheFormat, kind}, parts...))
	if err != nil {
		panic("bake: cache key of " + kind + ": " + err.Error()) // as above
	}
	sum := sha256.New()
	sum.Write(append(data[:len(data)-1], ','))
	sum.Write(last)
	sum.Write([]byte{']'})
	return hex.EncodeToString(sum.Sum(nil))
}

func makeDirs(dirs ...string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	return nil
}

package contentstore

import (
	"bytes"
	"context"
	"sync"

	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// A manifest is asked for far more often than it changes, which is never. What
// is kept of it here is served only while its link and its bytes lie in the
// store just as they did when it was read and hashed: that is looked at each
// time, so nothing comes back that any process has deleted.

// manifestCache keeps what was read of manifests, some megabytes of it: what
// was used lately, and what was before that. Safe for concurrent use.
type manifestCache struct {
	mu          sync.Mutex
	young, aged map[cacheKey]*keptManifest
	size        int // of the young, in bytes
}

const (
	maxCacheHalf = 8 << 20 // bytes
	maxCached    = 1 << 20 // bytes of one manifest
	cacheEntry   = 1 << 10 // bytes that an entry costs besides
)

// keptManifest is a manifest as it was read. Nobody changes it.
type keptManifest struct {
	link     link
	linkInfo store.Info
	info     store.Info // of the bytes
	content  []byte
}

func (c *manifestCache) get(key cacheKey) *keptManifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.young[key]
	if m == nil {
		if m = c.aged[key]; m != nil {
			c.put(key, m)
		}
	}
	return m
}

func (c *manifestCache) add(key cacheKey, m *keptManifest) {
	if len(m.content) > maxCached {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, m)
}

// put is called with the lock.
func (c *manifestCache) put(key cacheKey, m *keptManifest) {
	if c.young == nil || c.size > maxCacheHalf {
		c.young, c.aged, c.size = map[cacheKey]*keptManifest{}, c.young, 0
	}
	c.young[key] = m
	c.size += len(m.content) + cacheEntry
}

// cacheKey names a manifest of an image.
type cacheKey struct {
	repo   string
	digest digest.Digest
}

// cachedLink is the link of a manifest that is in the cache and still has it.
func (r *Registry) cachedLink(ctx context.Context, repo string, d digest.Digest) (*keptManifest, bool) {
	m := r.manifests.get(cacheKey{repo, d})
	if m == nil {
		return nil, false
	}
	info, err := r.store.Stat(ctx, m.linkInfo.Key)
	return m, err == nil && same(info, m.linkInfo)
}

// cachedManifest is a manifest that is in the cache and still in the store.
func (r *Registry) cachedManifest(ctx context.Context, repo string, d digest.Digest) (*keptManifest, bool) {
	m, ok := r.cachedLink(ctx, repo, d)
	if !ok {
		return nil, false
	}
	info, err := r.store.Stat(ctx, m.info.Key)
	return m, err == nil && same(info, m.info)
}

func same(a, b store.Info) bool { return a.Size == b.Size && a.ModTime.Equal(b.ModTime) }

// bytes is a copy for the caller to keep.
func (m *keptManifest) bytes() []byte { return bytes.Clone(m.content) }

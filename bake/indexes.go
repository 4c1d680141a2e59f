package bake

import (
	"os"

	"kiln/bake/debian"
	"kiln/bake/template"
)

// indexName is the name of an index among the dependencies of a build.
const indexName = "index"

// indexCache holds the archive's indexes by their content.
func (c *Cache) indexCache() debian.Cache {
	return debian.Cache{Dir: c.path("archive", "indexes")}
}

// indexesEntry is the cache entry that says which indexes a package list was
// chosen from. The lock does not name them: it stands without them.
func indexesEntry(locked template.LockedImage) string {
	return key("indexes", locked.Packages) + ".json"
}

// keepIndexes notes what a lock was resolved against.
func (l *Locker) keepIndexes(locked template.LockedImage, archive *debian.Archive) error {
	return l.Cache.save(archive.Releases(), "archive", indexesEntry(locked))
}

// noteIndexes records the indexes as inputs, where they are still at hand.
func (b *Builder) noteIndexes(st *state) {
	var releases []debian.Release
	if !b.cache.load(&releases, "archive", indexesEntry(st.result.Locked)) {
		return
	}
	for _, r := range releases {
		for _, ix := range r.Indexes {
			path := b.cache.indexCache().Path(ix.SHA256)
			if info, err := os.Stat(path); err != nil || info.Size() != ix.Size {
				continue
			}
			st.result.Inputs = append(st.result.Inputs, Input{
				Dependency: Dependency{
					Name: indexName, URI: "dists/" + r.Suite + "/" + ix.Path, Digest: map[string]string{"sha256": ix.SHA256},
				},
				Path: path,
			})
		}
	}
}

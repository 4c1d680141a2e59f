package main

import (
	"fmt"
	"strings"

	"kiln/bake"
)

// openCache opens the cache of this user, bounded by KILN_CACHE_SIZE: a size,
// "auto" or nothing for what fits the disk, "unlimited".
func (a *app) openCache() (*bake.Cache, error) {
	dir, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	limit, err := cacheLimit(a.getenv("KILN_CACHE_SIZE"))
	if err != nil {
		return nil, err
	}
	c, err := bake.OpenCache(dir)
	if err != nil {
		return nil, err
	}
	c.Limit(limit)
	return c, nil
}

// cacheLimit reads KILN_CACHE_SIZE for [bake.Cache.Limit].
func cacheLimit(text string) (int64, error) {
	switch strings.ToLower(text) {
	case "", "auto":
		return -1, nil
	case "unlimited":
		return 0, nil
	}
	n, err := parseSize(text)
	if err == nil && n == 0 {
		err = fmt.Errorf("nothing would be kept")
	}
	if err != nil {
		return 0, usagef("KILN_CACHE_SIZE: %v (or auto, or unlimited)", err)
	}
	return n, nil
}

// closeCache ends the use of the cache, less what it has too much.
func (a *app) closeCache(c *bake.Cache) {
	if err := c.Prune(); err != nil {
		a.say("warning: the cache is not pruned: %v", err)
	}
	c.Close()
}

// examineCache says how large the cache is.
func (a *app) examineCache() diagnosis {
	d := diagnosis{Name: "cache"}
	c, err := a.openCache()
	if err != nil {
		d.Fatal, d.Detail = true, err.Error()
		return d
	}
	defer c.Close()
	u, err := c.Usage()
	if err != nil {
		d.Detail = err.Error()
		return d
	}
	d.OK = true
	d.Detail = fmt.Sprintf("%d entries, %.1f GiB, ", u.Entries, float64(u.Bytes)/(1<<30))
	if u.Limit == 0 {
		d.Detail += "never pruned (KILN_CACHE_SIZE)"
	} else {
		d.Detail += fmt.Sprintf("pruned above %.1f GiB (KILN_CACHE_SIZE)", float64(u.Limit)/(1<<30))
	}
	return d
}

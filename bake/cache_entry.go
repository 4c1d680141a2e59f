package bake

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"time"
)

// load reads a JSON entry and notes that it was used; false if it is absent,
// damaged, changed by another hand, or another entry's content.
func (c *Cache) load(v any, parts ...string) bool {
	data, ok := c.loadBytes(parts...)
	return ok && json.Unmarshal(data, v) == nil
}

// loadBytes is load for what is no JSON.
func (c *Cache) loadBytes(parts ...string) ([]byte, bool) {
	f, err := os.Open(c.path(parts...))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false
	}
	sealed := make([]byte, info.Size())
	if _, err := io.ReadFull(f, sealed); err != nil {
		return nil, false
	}
	touch(f.Name(), info.ModTime())
	return unseal(sealed, parts)
}

// save writes a JSON entry whole or not at all.
func (c *Cache) save(v any, parts ...string) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.saveBytes(seal(data, parts), parts...)
}

func (c *Cache) saveBytes(data []byte, parts ...string) error {
	tmp, err := os.CreateTemp(c.path("tmp"), "entry-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err := tmp.Write(data); err != nil {
		tmp.Close()
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	c.wrote(int64(len(data)))
	return os.Rename(tmp.Name(), c.path(parts...))
}

// seal ends an entry with a hash of what it says and where it lies. It finds
// out damage and mix-ups; who can write to the cache could also run as us.
func seal(data []byte, parts []string) []byte {
	return append(append(data, '\n'), sealOf(data, parts)...)
}

func unseal(sealed []byte, parts []string) ([]byte, bool) {
	end := bytes.LastIndexByte(sealed, '\n')
	if end < 0 || string(sealed[end+1:]) != sealOf(sealed[:end], parts) {
		return nil, false
	}
	return sealed[:end], true
}

func sealOf(data []byte, parts []string) string {
	h := sha256.New()
	io.WriteString(h, strings.Join(parts, "/")+"\n")
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// useGrain is how exactly the time of an entry's last use is kept: a bake that
// finds everything seldom writes anything.
const useGrain = time.Hour

// touch makes now an entry's last use, which is its modification time.
func touch(path string, last time.Time) {
	now := time.Now()
	if now.Sub(last) < useGrain && !last.After(now) {
		return
	}
	_ = os.Chtimes(path, now, now) // at worst it goes too early
}

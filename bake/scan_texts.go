package bake

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"
	"sync"
)

// maxPlainTexts bounds how many texts are remembered: 4 MiB of hashes. A small
// Debian system has some 7,000.
const maxPlainTexts = 1 << 17

// plainTexts is a Scanner that remembers texts in which another one found
// nothing, by name and content together: layers of packages of which few
// changed, and other images with the same ones, need not be searched again. All
// else of a scan does not know of it.
type plainTexts struct {
	Scanner
	cache *Cache
	entry string
	most  int

	mu    sync.Mutex
	ready bool
	known map[textSum]bool // whether this bake saw it, too
	fresh bool             // something is known that the cache did not have
}

// textSum is the hash of a text and its name.
type textSum [sha256.Size]byte

// plainTexts are those that bakes with the same rules saw.
func (b *Builder) plainTexts() *plainTexts {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.plain == nil {
		b.plain = &plainTexts{
			Scanner: b.Scanner, cache: b.cache, most: maxPlainTexts,
			entry: "texts-" + key("plain texts", scanForm, b.Scanner.Rules()),
		}
	}
	return b.plain
}

// Find implements Scanner.
func (p *plainTexts) Find(name string, text []byte) ([]Secret, error) {
	if text == nil { // names are soon searched
		return p.Scanner.Find(name, text)
	}
	sum := sumText(name, text)
	if p.has(sum) {
		return nil, nil
	}
	found, err := p.Scanner.Find(name, text)
	if err == nil && len(found) == 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.known[sum], p.fresh = true, true
	}
	return found, err
}

func sumText(name string, text []byte) (sum textSum) {
	h := sha256.New()
	h.Write(binary.AppendUvarint(nil, uint64(len(name))))
	io.WriteString(h, name)
	h.Write(text)
	h.Sum(sum[:0])
	return sum
}

func (p *plainTexts) has(sum textSum) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ready {
		p.ready, p.known = true, map[textSum]bool{}
		for _, old := range p.load() {
			p.known[old] = false
		}
	}
	_, ok := p.known[sum]
	if ok {
		p.known[sum] = true
	}
	return ok
}

// load reads what the cache has; nothing of what is damaged.
func (p *plainTexts) load() []textSum {
	data, ok := p.cache.loadBytes("scans", p.entry)
	if !ok || len(data)%sha256.Size != 0 {
		return nil
	}
	list := make([]textSum, 0, len(data)/sha256.Size)
	for sum := range slices.Chunk(data, sha256.Size) {
		list = append(list, textSum(sum))
	}
	return list
}

// keep writes down what is known: first what this bake saw, then what there is
// already, maybe of bakes that run at the same time, as far as there is room.
// What two of them write at once may be lost, and is searched again.
func (p *plainTexts) keep() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.fresh {
		return nil
	}
	var list []textSum
	for sum, seen := range p.known {
		if seen {
			list = append(list, sum)
		}
	}
	slices.SortFunc(list, func(a, b textSum) int { return bytes.Compare(a[:], b[:]) })
	for _, sum := range p.load() {
		if !p.known[sum] {
			list = append(list, sum)
		}
	}
	data := make([]byte, 0, len(list)*sha256.Size)
	for _, sum := range list[:min(len(list), p.most)] {
		data = append(data, sum[:]...)
	}
	p.fresh = false
	return p.cache.saveBytes(seal(data, []string{"scans", p.entry}), "scans", p.entry)
}

package layers

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// memoryBlocks counts what it lends.
type memoryBlocks struct {
	mu   sync.Mutex
	have map[BlockKey][]byte
	lent int

	places []int64
	order  [][]byte
}

func (m *memoryBlocks) Find(k BlockKey) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.have[k] != nil {
		m.lent++
	}
	return m.have[k]
}

func (m *memoryBlocks) Made(k BlockKey, at int64, block []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.have[k] = block
	m.places = append(m.places, at)
	m.order = append(m.order, block)
}

func (m *memoryBlocks) Beginning(BlockKey) (Beginning, io.Reader) { return Beginning{}, nil }

func (m *memoryBlocks) Began(BlockKey, Beginning) {}

// A layer made of another's blocks is the layer that would be made without.
func TestBuildWithBlocks(t *testing.T) {
	const size = gzipBlock
	blocks := &memoryBlocks{have: map[BlockKey][]byte{}}
	for _, c := range []struct {
		name string
		edit func(text []byte)
		lent int // of five blocks, the last one short
	}{
		{"first", func([]byte) {}, 0},
		{"equal", func([]byte) {}, 5},
		{"in the third", func(b []byte) { b[2*size+size/2]++ }, 4},
		{"at the end of the second", func(b []byte) { b[2*size-1000]++ }, 3},
		{"at the end", func(b []byte) { b[len(b)-1]++ }, 4},
	} {
		text := []byte(strings.Repeat("some words of text\n", (4*size+size/4)/19))
		for i := 0; i < len(text); i += 64 {
			sum := sha256.Sum256([]byte{byte(i >> 6), byte(i >> 14), byte(i >> 22)})
			copy(text[i:], sum[:16])
		}
		c.edit(text)
		entry := Entry{Path: "a", Type: '0', Mode: 0o644, Size: int64(len(text)), Open: func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(text)), nil
		}}
		want, _, err := Build(t.Context(), filepath.Join(t.TempDir(), "l"), Gzip, []Entry{entry})
		if err != nil {
			t.Fatal(err)
		}
		blocks.lent, blocks.places, blocks.order = 0, nil, nil
		got, _, err := BuildWith(t.Context(), filepath.Join(t.TempDir(), "l"), Gzip, []Entry{entry}, BuildOptions{Blocks: blocks})
		if err != nil {
			t.Fatal(err)
		}
		if got.Desc.Digest != want.Desc.Digest || blocks.lent != c.lent {
			t.Errorf("%s: %s of %d lent blocks, want %s of %d", c.name, got.Desc.Digest, blocks.lent, want.Desc.Digest, c.lent)
		}
		file, err := os.ReadFile(got.Path)
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range blocks.places {
			if !bytes.HasPrefix(file[at:], blocks.order[i]) {
				t.Errorf("%s: block %d is not at %d", c.name, i, at)
			}
		}
	}
}

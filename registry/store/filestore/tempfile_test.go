package filestore

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"unsafe"
)

// TestTempFile: what goes past the page cache, through it, or first so and then
// so, is what was written, and no byte more.
func TestTempFile(t *testing.T) {
	content := make([]byte, 3<<20)
	random := rand.NewChaCha8([32]byte{})
	_, _ = random.Read(content)
	memory := make([]byte, largeBuffer+3*block)
	start := block - int(uintptr(unsafe.Pointer(&memory[0]))%block)
	for name, c := range map[string]struct {
		pieces []int
		shift  int // off the bounds of a block in memory
		plain  bool
	}{
		"small":                  {pieces: []int{100}},
		"blocks":                 {pieces: []int{smallBuffer, largeBuffer, largeBuffer}},
		"blocks and a rest":      {pieces: []int{smallBuffer, largeBuffer, 100_001}},
		"rest below a block":     {pieces: []int{smallBuffer, largeBuffer, 7}},
		"small again at the end": {pieces: []int{smallBuffer, block}},
		"rest, and then more":    {pieces: []int{smallBuffer, 5000, largeBuffer, smallBuffer, 3}},
		"odd from the start":     {pieces: []int{smallBuffer + 1, largeBuffer}},
		"not aligned in memory":  {pieces: []int{smallBuffer, largeBuffer}, shift: 8},
		"nothing reserved":       {pieces: []int{smallBuffer, largeBuffer, 9}, plain: true},
		"empty":                  {},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x")
			made, err := osDisk{}.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			f := made.(*osFile)
			f.plain = c.plain
			size := 0
			for _, n := range c.pieces {
				p := memory[start+c.shift:][:n]
				copy(p, content[size:])
				if got, err := f.Write(p); err != nil || got != n {
					t.Fatal(got, err)
				}
				size += n
			}
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, content[:size]) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, size)
			}
		})
	}
}

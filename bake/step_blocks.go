package bake

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/layers"
)

// stepBlocks lends the compressed blocks of the last layer that a step of files
// made: where one file changed, most of the next layer is equal.
type stepBlocks struct {
	entry string
	file  *os.File // the last layer; nil if there is none
	had   blockTable
	made  blockTable
}

// blockTable says where in a layer file which block lies.
type blockTable struct {
	Blob   string                `json:"blob"`   // digest, hex
	Blocks map[string]blockPlace `json:"blocks"` // by key, hex
	// Begin are the beginnings from which the layer can be made further.
	Begin map[string]layers.Beginning `json:"begin,omitempty"`
}

func newBlockTable() blockTable {
	return blockTable{Blocks: map[string]blockPlace{}, Begin: map[string]layers.Beginning{}}
}

// blockPlace is a part of a layer file.
type blockPlace struct {
	At     int64  `json:"at"`
	Size   int    `json:"size"`
	SHA256 string `json:"sha256"` // of it, hex
}

// stepBlocks opens what the last making of a step left; done closes it.
func (b *Builder) stepBlocks(st *state, res StepResult) (blocks layers.Blocks, done func()) {
	if res.Kind != ContentStep {
		return nil, func() {}
	}
	s := &stepBlocks{
		entry: key("blocks of", st.recipe.FullName, st.recipe.Platform(), res.Step) + ".json",
		made:  newBlockTable(),
	}
	var table blockTable
	if !b.cache.load(&table, "stats", s.entry) {
		return s, func() {}
	}
	f, err := os.Open(b.cache.path("blobs", table.Blob))
	if err != nil {
		return s, func() {} // it was pruned
	}
	s.file, s.had = f, table
	return s, func() { f.Close() }
}

// Find implements layers.Blocks. A damaged block is as good as none.
func (s *stepBlocks) Find(k layers.BlockKey) []byte {
	return s.find(hex.EncodeToString(k[:]))
}

func (s *stepBlocks) find(name string) []byte {
	place, ok := s.had.Blocks[name]
	if !ok || place.Size <= 0 || place.Size > maxBlock {
		return nil
	}
	block := make([]byte, place.Size)
	if _, err := s.file.ReadAt(block, place.At); err != nil || sumHex(block) != place.SHA256 {
		return nil
	}
	return block
}

// maxBlock is more than a compressed block has, in bytes.
const maxBlock = 16 << 20

// Made implements layers.Blocks.
func (s *stepBlocks) Made(k layers.BlockKey, at int64, block []byte) {
	s.made.Blocks[hex.EncodeToString(k[:])] = blockPlace{at, len(block), sumHex(block)}
}

// Beginning implements layers.Blocks.
func (s *stepBlocks) Beginning(k layers.BlockKey) (layers.Beginning, io.Reader) {
	begin, ok := s.had.Begin[hex.EncodeToString(k[:])]
	if !ok {
		return begin, nil
	}
	for name, place := range s.had.Blocks {
		if place.At+int64(place.Size) <= begin.Size {
			s.made.Blocks[name] = place
		}
	}
	for name, shorter := range s.had.Begin {
		if shorter.Raw <= begin.Raw {
			s.made.Begin[name] = shorter
		}
	}
	return begin, io.NewSectionReader(s.file, 0, begin.Size)
}

// Began implements layers.Blocks.
func (s *stepBlocks) Began(k layers.BlockKey, b layers.Beginning) {
	s.made.Begin[hex.EncodeToString(k[:])] = b
}

// forget has nothing lent any more: it is damaged.
func (s *stepBlocks) forget() { s.had, s.made = blockTable{}, newBlockTable() }

func sumHex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// keepBlocks notes the blocks of a layer for the next making.
func (b *Builder) keepBlocks(blocks layers.Blocks, layer v1.Hash) error {
	s, ok := blocks.(*stepBlocks)
	if !ok {
		return nil
	}
	s.made.Blob = layer.Hex
	return b.cache.save(s.made, "stats", s.entry)
}

package bake

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"kiln/bake/template"
)

// A layer that is made with the blocks of the one before is the layer that a
// machine makes that never saw that one; also when the one before is damaged.
func TestStepBlocks(t *testing.T) {
	text := make([]byte, 0, 5<<20)
	for sum := sha256.Sum256(nil); len(text) < cap(text)-2*len(sum); sum = sha256.Sum256(sum[:]) {
		text = append(append(text, sum[:]...), "some words that compress well .."...)
	}
	recipe := &template.Image{Name: "app", FullName: "acme/app", Platforms: []string{"linux/amd64"}}
	bake := func(b *Builder, text []byte) (StepResult, *stepBlocks) {
		t.Helper()
		open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
		st := &state{recipe: recipe, result: &Image{}}
		it := item{Target: "/srv/a", Kind: '0', Mode: 0o644, Size: int64(len(text)), SHA256: sumHex(text), Open: open}
		res, err := b.contentStep(t.Context(), st, "files", []item{it})
		if err != nil {
			t.Fatal(err)
		}
		s, done := b.stepBlocks(st, res)
		t.Cleanup(done)
		return res, s.(*stepBlocks)
	}
	b := builder(t, BuilderOptions{})
	first, _ := bake(b, text)
	for _, damage := range []bool{false, true} {
		text = slices.Clone(text)
		text[len(text)/2]++
		if damage {
			path := first.layer.(cachedLayer).Path
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			data[100]++
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		next, _ := bake(b, text)
		fresh, blocks := bake(builder(t, BuilderOptions{}), text)
		if next.Digest != fresh.Digest {
			t.Errorf("damaged %v: %s, on another machine %s", damage, next.Digest, fresh.Digest)
		}
		for k, place := range blocks.had.Blocks {
			if len(k) != 64 || place.Size == 0 || blocks.find(k) == nil {
				t.Errorf("block %s is not at %+v", k, place)
			}
		}
		if len(blocks.had.Blocks) != 6 {
			t.Errorf("%d blocks, want 6", len(blocks.had.Blocks))
		}
		first = next
	}
}

// Files that lie in an equal beginning of the last layer are not read; where
// that is damaged, they are.
func TestStepFromBeginning(t *testing.T) {
	recipe := &template.Image{Name: "app", FullName: "acme/app", Platforms: []string{"linux/amd64"}}
	opened := 0
	var items []item
	for i := range 40 {
		text := bytes.Repeat([]byte(sumHex([]byte{byte(i)})), 2000)
		items = append(items, item{
			Target: fmt.Sprintf("/srv/file%02d", i), Kind: '0', Mode: 0o644, Size: int64(len(text)), SHA256: sumHex(text),
			Open: func() (io.ReadCloser, error) {
				opened++
				return io.NopCloser(bytes.NewReader(text)), nil
			},
		})
	}
	b := builder(t, BuilderOptions{})
	var last StepResult
	for round, damage := range []bool{false, false, true, false} {
		text := fmt.Appendf(nil, "round %d", round)
		items[39].Size, items[39].SHA256 = int64(len(text)), sumHex(text)
		items[39].Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }
		if damage {
			if err := os.Truncate(last.layer.(cachedLayer).Path, 5000); err != nil {
				t.Fatal(err)
			}
		}
		make := func(b *Builder) StepResult {
			t.Helper()
			res, err := b.contentStep(t.Context(), &state{recipe: recipe, result: &Image{}}, "files", items)
			if err != nil {
				t.Fatal(err)
			}
			return res
		}
		opened = 0
		last = make(b)
		if all := round == 0 || damage; (opened >= 39) != all {
			t.Errorf("round %d: %d files were read", round, opened)
		}
		if fresh := make(builder(t, BuilderOptions{})); fresh.Digest != last.Digest {
			t.Errorf("round %d: %s, on another machine %s", round, last.Digest, fresh.Digest)
		}
		if err := last.layer.(cachedLayer).Verify(); err != nil {
			t.Error(err)
		}
	}
}

package bake

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"kiln/bake/template"
	"kiln/layers"
)

// brokenScanner fails.
type brokenScanner struct{ markScanner }

func (brokenScanner) Find(string, []byte) ([]Secret, error) { return nil, errors.New("no rules") }

// What is found while a layer is written is what its bytes hold; a scanner that
// fails does not keep it from being written.
func TestScanAlong(t *testing.T) {
	recipe := &template.Image{Name: "app", FullName: "acme/app", Platforms: []string{"linux/amd64"}}
	text := strings.Repeat("words\n", 500_000) + "SECRET\n"
	entries := func(open func() (io.ReadCloser, error)) []layers.Entry {
		return []layers.Entry{{Path: "a", Type: '0', Mode: 0o4755, Size: int64(len(text)), Open: open}}
	}
	whole := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
	cut := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text[:1<<20])), nil }
	keep := func(b *Builder, list []layers.Entry) (StepResult, error) {
		return b.keep(t.Context(), &state{recipe: recipe}, StepResult{Kind: RunStep, key: key("k")}, t.TempDir(), list)
	}
	b := builder(t, BuilderOptions{Scanner: markScanner{}})
	if _, err := keep(b, entries(cut)); !errors.Is(err, layers.ErrChanged) {
		t.Errorf("of half a file: %v", err)
	}
	res, err := keep(b, entries(whole))
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.scanWhole(t.Context(), res.layer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(res.layer.(cachedLayer).Path); err != nil { // nobody reads it
		t.Fatal(err)
	}
	got, err := b.scanLayer(t.Context(), &Image{}, res.layer)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := json.Marshal(got)
	if two, _ := json.Marshal(want); string(one) != string(two) || len(got.Found) != 1 {
		t.Errorf("found along %s, in the layer %s", one, two)
	}
	broken := builder(t, BuilderOptions{Scanner: brokenScanner{}})
	if res, err = keep(broken, entries(whole)); err != nil {
		t.Fatal(err)
	}
	if _, err := broken.scanLayer(t.Context(), &Image{}, res.layer); err == nil {
		t.Error("a scanner that fails found nothing wrong")
	}
}

package layers

import (
	"bytes"
	"context"
	"os"
	"testing"
)

// FuzzExtract: no archive reaches outside of the root, and what can be
// extracted can be indexed.
func FuzzExtract(f *testing.F) {
	for _, test := range hostile("/outside") {
		f.Add(rawTar(f, test.headers...), false)
		f.Add(rawTar(f, test.headers...), true)
	}
	f.Add(sparseTar(f), false)
	f.Add(rawTar(f, dir("d"), reg("d/.wh..wh..opq"), reg("d/x"), reg(".wh.d"), hard("y", "d/x"), link("z", "/d"), reg("z/q")), true)
	f.Fuzz(func(t *testing.T, raw []byte, overlay bool) {
		j := newJail(t)
		limits := Limits{Entries: 100, Bytes: 1 << 20}
		err := Extract(context.Background(), bytes.NewReader(raw), j.root, ExtractOptions{Overlay: overlay, SkipDevices: true, Limits: limits})
		j.check(t, "fuzzed")
		if err != nil {
			return
		}
		if _, err := IndexTar(context.Background(), bytes.NewReader(raw)); err != nil {
			t.Errorf("extracted but not indexed: %v", err)
		}
		if list, err := os.ReadDir(j.root); err != nil {
			t.Errorf("root with %d things: %v", len(list), err)
		}
	})
}

// FuzzReadIndex: an index file that can be read is written again the same.
func FuzzReadIndex(f *testing.F) {
	var buf bytes.Buffer
	if _, err := indexOf(f, goldenEntries()...).WriteTo(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte(indexFormat + "\n{\"p\":\".\",\"t\":53,\"o\":true}\n{\"p\":\"a\",\"t\":87}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		ix, err := ReadIndex(bytes.NewReader(raw))
		if err != nil {
			return
		}
		var first, second bytes.Buffer
		ix.WriteTo(&first)
		again, err := ReadIndex(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		again.WriteTo(&second)
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Error("written differently the second time")
		}
		ix.Merge(again)
		for _, p := range ix.Paths() {
			ix.Lookup(p + "/x")
		}
	})
}

// FuzzIndexTar: every archive gives an index that survives its file, or an
// error.
func FuzzIndexTar(f *testing.F) {
	for _, test := range hostile("/outside") {
		f.Add(rawTar(f, test.headers...))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		ix, err := IndexTar(context.Background(), bytes.NewReader(raw))
		if err != nil {
			return
		}
		var out bytes.Buffer
		ix.WriteTo(&out)
		if _, err := ReadIndex(&out); err != nil {
			t.Errorf("the index of an archive is not read back: %v", err)
		}
	})
}

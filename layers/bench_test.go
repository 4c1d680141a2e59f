package layers

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkBuild builds a layer of this Go installation's standard library
// sources and tools: text and binaries, as an image has them.
func BenchmarkBuild(b *testing.B) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		b.Fatal(err)
	}
	entries, err := Tree(strings.TrimSpace(string(root)), TreeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	var size int64
	for _, e := range entries {
		size += e.Size
	}
	for _, comp := range []Compression{Gzip, Zstd} {
		b.Run(string(comp), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				l, _, err := Build(context.Background(), filepath.Join(b.TempDir(), "l"), comp, entries)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(l.Desc.Size)/float64(size)*100, "%size")
			}
		})
	}
}

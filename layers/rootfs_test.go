package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// rawLayer is a layer of just these entries, in this order, as others may
// write one.
func rawLayer(t testing.TB, headers ...*tar.Header) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		content := h.PAXRecords["KILN.content"]
		delete(h.PAXRecords, "KILN.content")
		h.Size = int64(len(content))
		must(t, w.WriteHeader(h))
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	return static.NewLayer(buf.Bytes(), types.OCIUncompressedLayer)
}

func rawFile(name, content string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o640, Uid: 7, Gid: 8, PAXRecords: map[string]string{"KILN.content": content}}
}

func rawLink(kind byte, name, to string) *tar.Header {
	return &tar.Header{Typeflag: kind, Name: name, Linkname: to, Mode: 0o777}
}

// layersOnly is an image as far as its layers go.
type layersOnly struct {
	v1.Image
	list []v1.Layer
}

func (l layersOnly) Layers() ([]v1.Layer, error) { return l.list, nil }

func rootfs(t testing.TB, name string, list ...v1.Layer) (file string, lines string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	must(t, WriteRootfs(context.Background(), file, layersOnly{list: list}))
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	r, err := Decompress(f)
	must(t, err)
	var out strings.Builder
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return file, strings.TrimSuffix(out.String(), "\n")
		}
		must(t, err)
		content, err := io.ReadAll(tr)
		must(t, err)
		fmt.Fprintf(&out, "%c %o %d:%d %s", h.Typeflag, h.Mode, h.Uid, h.Gid, h.Name)
		if h.Linkname != "" {
			fmt.Fprintf(&out, " -> %s", h.Linkname)
		}
		if len(content) > 0 {
			fmt.Fprintf(&out, " %q", content)
		}
		if x := h.PAXRecords["SCHILY.xattr.user.x"]; x != "" {
			fmt.Fprintf(&out, " x=%s", x)
		}
		out.WriteByte('\n')
	}
}

func TestRootfs(t *testing.T) {
	attributed := rawFile("usr/a", "A")
	attributed.PAXRecords["SCHILY.xattr.user.x"] = "1"
	base := []*tar.Header{
		{Typeflag: tar.TypeDir, Name: "usr/", Mode: 0o755}, attributed, rawFile("usr/b", "B"), rawLink(tar.TypeLink, "usr/c", "usr/b"),
		{Typeflag: tar.TypeDir, Name: "gone/", Mode: 0o755}, rawFile("gone/x", "X"), rawLink(tar.TypeSymlink, "lib", "usr"),
		{Typeflag: tar.TypeDir, Name: "opaque/", Mode: 0o700}, rawFile("opaque/old", "O"),
	}
	for _, tc := range []struct {
		name  string
		above []*tar.Header
		want  []string
	}{
		{"as it is", nil, []string{
			"5 755 0:0 gone/", `0 640 7:8 gone/x "X"`, "2 777 0:0 lib -> usr", "5 700 0:0 opaque/", `0 640 7:8 opaque/old "O"`,
			"5 755 0:0 usr/", `0 640 7:8 usr/a "A" x=1`, `0 640 7:8 usr/b "B"`, "1 640 7:8 usr/c -> usr/b",
		}},
		{
			"whiteouts",
			[]*tar.Header{rawFile(".wh.gone", ""), rawFile("opaque/new", "N"), rawFile("opaque/.wh..wh..opq", ""), rawFile("usr/.wh.b", "")},
			[]string{
				"2 777 0:0 lib -> usr", "5 700 0:0 opaque/", `0 640 7:8 opaque/new "N"`,
				"5 755 0:0 usr/", `0 640 7:8 usr/a "A" x=1`, `0 640 7:8 usr/c "B"`,
			},
		},
		{
			"through a symlink, and over other types",
			[]*tar.Header{rawFile("lib/a", "new"), rawFile("gone", "file"), rawFile("opaque/sub/deep", "D"), rawLink(tar.TypeLink, "opaque/old", "usr/b")},
			[]string{
				`0 640 7:8 gone "file"`, "2 777 0:0 lib -> usr", "5 700 0:0 opaque/", `0 640 7:8 opaque/old "B"`,
				"5 755 0:0 opaque/sub/", `0 640 7:8 opaque/sub/deep "D"`, "5 755 0:0 usr/", `0 640 7:8 usr/a "new"`,
				"1 640 7:8 usr/b -> opaque/old", "1 640 7:8 usr/c -> opaque/old",
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			list := []v1.Layer{rawLayer(t, clones(base)...)}
			if tc.above != nil {
				list = append(list, rawLayer(t, tc.above...))
			}
			if _, got := rootfs(t, "root.tar", list...); got != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(tc.want, "\n"))
			}
		})
	}
}

func clones(list []*tar.Header) []*tar.Header {
	out := make([]*tar.Header, len(list))
	for i, h := range list {
		c := *h
		if h.PAXRecords != nil {
			c.PAXRecords = map[string]string{}
			for k, v := range h.PAXRecords {
				c.PAXRecords[k] = v
			}
		}
		out[i] = &c
	}
	return out
}

// The archive is the same bytes on any number of cores, and says by its name
// how it is compressed; nothing is left beside it.
func TestRootfsBytes(t *testing.T) {
	layer, _ := build(t, Gzip, folder("a"), text("a/b", strings.Repeat("kiln", 1<<20)))
	for name, magic := range map[string]string{"r.tar": "a/", "r.tar.gz": "\x1f\x8b", "r.tgz": "\x1f\x8b", "r.tar.zst": "\x28\xb5\x2f\xfd"} {
		var first []byte
		for _, procs := range []int{1, 2, 5} {
			old := runtime.GOMAXPROCS(procs)
			file, _ := rootfs(t, name, layer)
			runtime.GOMAXPROCS(old)
			raw, err := os.ReadFile(file)
			must(t, err)
			if !bytes.HasPrefix(raw, []byte(magic)) || first != nil && !bytes.Equal(raw, first) {
				t.Errorf("%s with %d cores begins %q, or differs", name, procs, raw[:8])
			}
			first = raw
			left, err := os.ReadDir(filepath.Dir(file))
			if err != nil || len(left) != 1 {
				t.Errorf("left behind: %v (%v)", left, err)
			}
		}
	}
}

// A hostile layer writes nothing but the archive, and that not either.
func TestRootfsRefuses(t *testing.T) {
	for name, h := range map[string]*tar.Header{
		"climbs":       rawFile("../etc/passwd", "x"),
		"links out":    rawLink(tar.TypeLink, "a", "../../etc/passwd"),
		"links to air": rawLink(tar.TypeLink, "a", "nothing"),
	} {
		file := filepath.Join(t.TempDir(), "r.tar")
		err := WriteRootfs(context.Background(), file, layersOnly{list: []v1.Layer{rawLayer(t, h)}})
		if bad := (*ArchiveError)(nil); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Errorf("%s: an archive was written", name)
		}
	}
}

// Readers of Docker archives need not know zstd: its layers are plain there.
func TestDockerArchiveOfZstd(t *testing.T) {
	layer, _ := build(t, Zstd, text("a", strings.Repeat("kiln", 1000)))
	img := assemble(t, ImageSpec{Layers: []v1.Layer{layer}})
	file := filepath.Join(t.TempDir(), "a.tar")
	must(t, WriteDockerArchive(file, []Named{{Ref: "example.com/shop:1", Image: img}, {Ref: "example.com/shop:2", Image: img}}))
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	diff, err := layer.DiffID()
	must(t, err)
	found := 0
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		if h.Name == diff.Hex+".tar" {
			s := newSum()
			_, err := io.Copy(s, tr)
			must(t, err)
			if s.hash() != diff {
				t.Errorf("the layer is %v, not %v", s.hash(), diff)
			}
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d layers, want one", found)
	}
}

package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tb is what helpers need of a testing.TB or a rapid.T.
type tb interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// text returns an entry of a file with this content.
func text(p, content string) Entry {
	return Entry{
		Path: p, Type: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), ModTime: Epoch(),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func folder(p string) Entry { return Entry{Path: p, Type: tar.TypeDir, Mode: 0o755, ModTime: Epoch()} }

func symlink(p, link string) Entry {
	return Entry{Path: p, Type: tar.TypeSymlink, Mode: 0o777, Link: link, ModTime: Epoch()}
}

func build(t testing.TB, comp Compression, entries ...Entry) (*Layer, *Index) {
	t.Helper()
	l, ix, err := Build(context.Background(), filepath.Join(t.TempDir(), "layer"), comp, entries)
	if err != nil {
		t.Fatal(err)
	}
	return l, ix
}

// extract unpacks a layer into dir.
func extract(t tb, l *Layer, dir string, opts ExtractOptions) {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := Extract(context.Background(), r, dir, opts); err != nil {
		t.Fatal(err)
	}
}

// describeTree lists a tree: one line per path with everything a layer holds,
// times included when asked for.
func describeTree(t tb, root string, times bool) string {
	t.Helper()
	entries, err := Tree(root, TreeOptions{ModTime: func(_ string, info os.FileInfo) time.Time {
		if times {
			return info.ModTime()
		}
		return Epoch()
	}})
	if err != nil {
		t.Fatal(err)
	}
	return describeEntries(t, entries)
}

func describeEntries(t tb, entries []Entry) string {
	t.Helper()
	var out strings.Builder
	for _, e := range entries {
		content := ""
		if e.Type == tar.TypeReg && e.Size > 0 {
			r, err := e.Open()
			if err != nil {
				t.Fatal(err)
			}
			s := newSum()
			if _, err := io.Copy(s, r); err != nil {
				t.Fatal(err)
			}
			r.Close()
			content = s.hash().Hex[:12]
		}
		fmt.Fprintf(&out, "%s %c %o %d:%d %d %q %d,%d %d %q %s\n", e.Path, e.Type, e.Mode, e.UID, e.GID,
			e.Size, e.Link, e.Devmajor, e.Devminor, e.ModTime.Unix(), e.Xattrs, content)
	}
	return out.String()
}

// rawTar writes headers as they are, as a hostile archive would have them.
func rawTar(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Typeflag == tar.TypeReg && h.Size == 0 {
			h.Size = 5
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.CopyN(w, strings.NewReader("evil\n"+strings.Repeat("x", int(h.Size))), h.Size); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

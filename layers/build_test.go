package layers

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// capability is a file capability (cap_net_bind_service=ep) as Linux stores it.
const capability = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// goldenEntries touches every feature of the format.
func goldenEntries() []Entry {
	long := strings.Repeat("long-name/", 30) + "file"
	suid := text("usr/bin/su", "suid")
	suid.Mode |= ModeSetuid
	capable := text("usr/bin/ping", "capable")
	capable.Xattrs = map[string]string{"security.capability": capability, "user.note": "a\x00b"}
	big := text("srv/owner", "x")
	big.UID, big.GID = 3_000_000, 3_000_001
	late := text("srv/late", strings.Repeat("time ", 1000))
	late.ModTime = time.Date(2024, 2, 29, 12, 30, 15, 999_999_999, time.UTC)
	return []Entry{
		late, text("srv/ünï", "utf-8"), text(long, "deep"), suid, capable, big,
		folder("srv"), folder("usr"), folder("usr/bin"), symlink("bin", "usr/bin"),
		{Path: "usr/bin/a-link", Type: tar.TypeLink, Link: "usr/bin/su"},
		{Path: "usr/bin/z-link", Type: tar.TypeLink, Link: "usr/bin/su"},
		{Path: "dev/null", Type: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3, ModTime: Epoch()},
		{Path: "dev/sda", Type: tar.TypeBlock, Mode: 0o660, GID: 6, Devmajor: 8, ModTime: Epoch()},
		{Path: "run/pipe", Type: tar.TypeFifo, Mode: 0o600, ModTime: Epoch()},
		{Path: "etc/.wh.gone", Type: tar.TypeReg, ModTime: Epoch()},
		{Path: "etc/.wh..wh..opq", Type: tar.TypeReg, ModTime: Epoch()},
		text("etc/.aaa", ""),
	}
}

// TestGolden pins the bytes. When it fails, every digest of every image
// changes: name the encoders anew and say so in the release notes.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		comp         Compression
		digest, diff string
	}{
		{Gzip, "sha256:86ffb0a61e279ec606ccb3e19dd65080c6d4459cf43db74bbb9fe2939836b8de",
			"sha256:e0f607e153dcc750e1ede831578666bf73095ba9ce3db7ce8888065d5122d21f"},
		{Zstd, "sha256:d5046951c5573751d14174354d4cc709cf0e34d874ceeaa2b91ae531a06e8a9b",
			"sha256:e0f607e153dcc750e1ede831578666bf73095ba9ce3db7ce8888065d5122d21f"},
	} {
		l, ix := build(t, test.comp, goldenEntries()...)
		if l.Desc.Digest.String() != test.digest || l.Diff.String() != test.diff {
			t.Errorf("%s: digest %s, diff id %s", test.comp, l.Desc.Digest, l.Diff)
		}
		again, err := IndexLayer(context.Background(), l)
		if err != nil {
			t.Fatal(err)
		}
		var a, b bytes.Buffer
		ix.WriteTo(&a)
		again.WriteTo(&b)
		if a.String() != b.String() {
			t.Errorf("index of the built layer:\n%s\nindex of the archive:\n%s", a.String(), b.String())
		}
	}
}

// TestOrder shows the pinned order of entries and who holds hard-linked content.
func TestOrder(t *testing.T) {
	l, _ := build(t, Gzip, goldenEntries()...)
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(h.Name, "long") {
			got = append(got, h.Name)
		}
		if h.Name == "usr/bin/a-link" && (h.Typeflag != tar.TypeReg || h.Size != 4 || h.Mode != 0o4644) {
			t.Errorf("the first hard link does not hold the content: %+v", h)
		}
		if (h.Name == "usr/bin/su" || h.Name == "usr/bin/z-link") && (h.Typeflag != tar.TypeLink || h.Linkname != "usr/bin/a-link") {
			t.Errorf("%s does not link to the first: %+v", h.Name, h)
		}
		if h.Name == "usr/bin/ping" && h.PAXRecords[xattrRecord+"security.capability"] != capability {
			t.Errorf("capability is %q", h.PAXRecords)
		}
	}
	want := "bin dev/null dev/sda etc/.wh..wh..opq etc/.wh.gone etc/.aaa run/pipe srv/ srv/late srv/owner srv/ünï " +
		"usr/ usr/bin/ usr/bin/a-link usr/bin/ping usr/bin/su usr/bin/z-link"
	if strings.Join(got, " ") != want {
		t.Errorf("order\n%s\nwant\n%s", strings.Join(got, " "), want)
	}
}

// noise is content that compresses a little, the same every time.
func noise(n int) string {
	var b strings.Builder
	x := uint32(1)
	for b.Len() < n {
		x = x*1664525 + 1013904223
		b.WriteString([]string{"lorem ", "ipsum ", "dolor ", "sit "}[x>>30])
		b.WriteByte(byte(x >> 16))
	}
	return b.String()[:n]
}

func TestBytesDoNotDependOnCores(t *testing.T) {
	content := noise(9<<20 + 12345)
	for _, comp := range []Compression{Gzip, Zstd} {
		digests := map[string]bool{}
		for _, procs := range []int{1, 2, 8} {
			old := runtime.GOMAXPROCS(procs)
			l, _ := build(t, comp, text("a", content), text("b", content[1000:]))
			runtime.GOMAXPROCS(old)
			digests[l.Desc.Digest.String()] = true
			if err := l.Verify(); err != nil {
				t.Error(err)
			}
			if comp == Gzip {
				if err := validate.Layer(l); err != nil {
					t.Error(err)
				}
			}
		}
		if len(digests) != 1 {
			t.Errorf("%s: %d digests on different numbers of cores", comp, len(digests))
		}
	}
}

func TestCompressorIgnoresHowInputIsCut(t *testing.T) {
	content := []byte(noise(3<<20 + 1))
	for _, comp := range []Compression{Gzip, Zstd} {
		var want []byte
		for _, size := range []int{1, 4096, 1 << 20, len(content)} {
			part := content
			if size == 1 {
				part = content[:100_000]
			}
			var out bytes.Buffer
			w, err := NewCompressor(&out, comp)
			if err != nil {
				t.Fatal(err)
			}
			for rest := part; len(rest) > 0; {
				n, err := w.Write(rest[:min(size, len(rest))])
				if err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := Decompress(bytes.NewReader(out.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			back, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(back, part) {
				t.Fatalf("%s in writes of %d: %d bytes come back: %v", comp, size, len(back), err)
			}
			if size == 1 {
				continue
			}
			if want == nil {
				want = out.Bytes()
			}
			if !bytes.Equal(out.Bytes(), want) {
				t.Errorf("%s in writes of %d: other bytes", comp, size)
			}
		}
	}
}

// TestHugeLayer builds a file beyond the 8 GiB that plain tar headers hold
// only in its header, and 2 GiB for real, in little memory.
func TestHugeLayer(t *testing.T) {
	size := int64(2<<30 + 512)
	huge := Entry{Path: "huge", Type: tar.TypeReg, Mode: 0o644, Size: size, ModTime: Epoch(),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }}
	var peak uint64
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	l, ix := build(t, Zstd, huge)
	if n, ok := ix.Node("huge"); !ok || n.Size != size {
		t.Errorf("index has %+v", n)
	}
	dir := t.TempDir()
	extract(t, l, dir, ExtractOptions{})
	close(stop)
	<-done
	if peak > 300<<20 {
		t.Errorf("peak heap %d MiB for a layer of 2 GiB", peak>>20)
	}
	info, err := os.Stat(filepath.Join(dir, "huge"))
	if err != nil || info.Size() != size {
		t.Errorf("extracted: %v, %v", info, err)
	}
	huge.Size = 9 << 30
	var buf bytes.Buffer
	if err := tar.NewWriter(&buf).WriteHeader(huge.header()); err != nil {
		t.Fatal(err)
	}
	if h, err := tar.NewReader(&buf).Next(); err != nil || h.Size != 9<<30 {
		t.Errorf("9 GiB come back as %+v, %v", h, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestBuildRefuses(t *testing.T) {
	short := text("f", "content")
	short.Size = 100
	long := text("f", "content")
	long.Size = 3
	for _, test := range []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"absolute", []Entry{text("/etc/passwd", "")}, "absolute"},
		{"dot dot", []Entry{text("../x", "")}, "not clean"},
		{"inner dot dot", []Entry{text("a/../x", "")}, "not clean"},
		{"slash", []Entry{folder("a/")}, "not clean"},
		{"root", []Entry{folder(".")}, "empty path"},
		{"latin-1", []Entry{text("caf\xe9", "")}, "not UTF-8"},
		{"NUL", []Entry{text("a\x00b", "")}, "NUL"},
		{"twice", []Entry{text("a", "1"), text("a", "2")}, "twice"},
		{"below a file", []Entry{text("a", "1"), text("a/b", "2")}, "no folder"},
		{"below a symlink", []Entry{symlink("a", "b"), text("a/b/c", "2")}, "no folder"},
		{"link to nothing", []Entry{{Path: "a", Type: tar.TypeLink, Link: "b"}}, "no file of this layer"},
		{"link to a folder", []Entry{folder("b"), {Path: "a", Type: tar.TypeLink, Link: "b"}}, "no file of this layer"},
		{"link out", []Entry{{Path: "a", Type: tar.TypeLink, Link: "../b"}}, "hard link target"},
		{"whiteout with content", []Entry{text(".wh.x", "1")}, "whiteouts"},
		{"mode", []Entry{{Path: "a", Type: tar.TypeDir, Mode: 0o40755}}, "mode"},
		{"owner", []Entry{{Path: "a", Type: tar.TypeDir, UID: -1}}, "owner"},
		{"type", []Entry{{Path: "a", Type: tar.TypeCont}}, "not supported"},
		{"shrunk", []Entry{short}, "changed while it was read"},
		{"grown", []Entry{long}, "changed while it was read"},
		{"no content", []Entry{{Path: "a", Type: tar.TypeReg, Size: 1}}, "no content"},
	} {
		file := filepath.Join(t.TempDir(), "layer")
		_, _, err := Build(context.Background(), file, Gzip, test.entries)
		var entry *EntryError
		if !errors.As(err, &entry) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
		if left, _ := filepath.Glob(filepath.Dir(file) + "/*"); len(left) != 0 {
			t.Errorf("%s: left behind %v", test.name, left)
		}
	}
	if _, _, err := Build(context.Background(), filepath.Join(t.TempDir(), "l"), "lzma", nil); err == nil {
		t.Error("lzma was accepted")
	}
}

// TestSourceThatChanges covers sources that change between listing and reading
// (FAULTS 29).
func TestSourceThatChanges(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"grown":     func(p string) error { return os.WriteFile(p, []byte("longer than before"), 0o644) },
		"shrunk":    func(p string) error { return os.Truncate(p, 1) },
		"same size": func(p string) error { return os.WriteFile(p, []byte("BEFORE"), 0o644) },
		"replaced": func(p string) error {
			if err := os.WriteFile(p+"2", []byte("before"), 0o644); err != nil {
				return err
			}
			if err := os.Chtimes(p+"2", Epoch(), Epoch()); err != nil {
				return err
			}
			return os.Rename(p+"2", p)
		},
	} {
		dir := t.TempDir()
		p := filepath.Join(dir, "file")
		if err := os.WriteFile(p, []byte("before"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, Epoch(), Epoch()); err != nil {
			t.Fatal(err)
		}
		entries, err := Tree(dir, TreeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := change(p); err != nil {
			t.Fatal(err)
		}
		_, _, err = Build(context.Background(), filepath.Join(t.TempDir(), "l"), Gzip, entries)
		if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), `"file"`) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestBuildStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	endless := Entry{Path: "a", Type: tar.TypeReg, Size: 1 << 50, Open: func() (io.ReadCloser, error) {
		time.AfterFunc(50*time.Millisecond, cancel)
		return io.NopCloser(zeros{}), nil
	}}
	if _, _, err := Build(ctx, filepath.Join(t.TempDir(), "l"), Gzip, []Entry{endless}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// TestBuildOnAFullDisk holds FAULTS 39.
func TestBuildOnAFullDisk(t *testing.T) {
	meta := Meta{Compression: Gzip}
	full := &fullDisk{left: 3 << 20}
	_, err := writeLayer(context.Background(), full, []Entry{{Path: "a", Type: tar.TypeReg, Size: 1 << 50,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(noise(64 << 20))), nil }}}, &meta, BuildOptions{})
	if !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{ left int }

func (f *fullDisk) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// TestRestore takes a layer through a cache: JSON and a file.
func TestRestore(t *testing.T) {
	l, ix := build(t, Gzip, goldenEntries()...)
	raw, err := json.Marshal(l.Meta)
	if err != nil {
		t.Fatal(err)
	}
	var meta Meta
	if err := json.Unmarshal(raw, &meta); err != nil {
		t.Fatal(err)
	}
	back, err := Open(l.Path, meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Layer(back); err != nil {
		t.Error(err)
	}
	var file bytes.Buffer
	if _, err := ix.WriteTo(&file); err != nil {
		t.Fatal(err)
	}
	again, err := ReadIndex(bytes.NewReader(file.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	var second bytes.Buffer
	again.WriteTo(&second)
	if !bytes.Equal(file.Bytes(), second.Bytes()) {
		t.Error("the index does not survive its file")
	}
	content, _ := os.ReadFile(l.Path)
	content[len(content)/2] ^= 1
	os.WriteFile(l.Path, content, 0o644)
	if err := back.Verify(); err == nil {
		t.Error("a damaged layer passes")
	}
	os.WriteFile(l.Path, content[:10], 0o644)
	if _, err := Open(l.Path, meta); err == nil {
		t.Error("a shortened layer opens")
	}
}

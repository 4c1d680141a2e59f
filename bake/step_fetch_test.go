package bake

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/ulikunitz/xz"

	"kiln/layers"
)

// origin serves files and counts how often it is asked.
type origin struct {
	*httptest.Server
	asked atomic.Int64
}

func newOrigin(t *testing.T, serve http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.asked.Add(1)
		serve(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func serving(data []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// fetching is a template with one fetch.
func fetching(url, sum, more string) map[string]string {
	return map[string]string{"kiln.hcl": fmt.Sprintf("project = \"acme\"\nimage \"a\" {\n  fetch {\n    url = %q\n    sha256 = %q\n    %s\n  }\n}\n", url, sum, more)}
}

func TestFetch(t *testing.T) {
	data := []byte("content")
	o := newOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("the server is told %v", r.Header)
		}
		if r.URL.Path == "/tool" {
			http.Redirect(w, r, "/there", http.StatusFound)
			return
		}
		_, _ = w.Write(data)
	})
	files := fetching(o.URL+"/tool?v=1", hexSum(data), "target = \"/usr/bin/\"\n mode = \"0755\"\n owner = \"3:4\"")
	cache := builder(t, BuilderOptions{}).Cache
	img := buildAll(t, builder(t, BuilderOptions{Cache: cache}), project(t, files))
	compareLines(t, contentOf(t, img.Image), "usr/ 755 0:0", "usr/bin/ 755 0:0", "usr/bin/tool 755 3:4 content")
	if len(img.Inputs) != 1 || img.Inputs[0].URI != o.URL+"/tool?v=1" || img.Inputs[0].Digest["sha256"] != hexSum(data) {
		t.Errorf("inputs: %+v", img.Inputs)
	}
	o.Close() // a warm bake needs neither the server nor the file
	if err := os.RemoveAll(cache.path("fetched")); err != nil {
		t.Fatal(err)
	}
	again := buildAll(t, builder(t, BuilderOptions{Cache: cache}), project(t, files))
	if again.Digest != img.Digest || !again.Steps[0].Cached || o.asked.Load() != 2 {
		t.Errorf("again: %s, was %s, %+v, asked %d times", again.Digest, img.Digest, again.Steps, o.asked.Load())
	}
}

func TestFetchErrors(t *testing.T) {
	data := []byte("content")
	flaky := func(w http.ResponseWriter, r *http.Request) { http.Error(w, "later", http.StatusServiceUnavailable) }
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		sum   string
		want  string
		asked int64
	}{
		"other content": {serving(data), hexSum([]byte("x")), "its sha256 is " + hexSum(data) + ", the template says", 1},
		"missing":       {http.NotFound, hexSum(data), "404 Not Found", 1},
		"not now":       {flaky, hexSum(data), "503 Service Unavailable", fetchAttempts},
		"to a file":     {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "file:///etc/passwd", 302) }, hexSum(data), "redirect refused: to file:", 1},
		"credentials":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://a:b@"+r.Host+"/", 302) }, hexSum(data), "an address with credentials", 1},
		"cut short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(data)
		}, hexSum(data), "unexpected EOF", fetchAttempts},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, c.serve)
			b := builder(t, BuilderOptions{})
			_, err := b.Build(context.Background(), project(t, fetching(o.URL+"/f", c.sum, `target = "/f"`)).Images[0])
			if err == nil || !strings.Contains(err.Error(), c.want) || o.asked.Load() != c.asked {
				t.Errorf("got %v after %d requests, want %q after %d", err, o.asked.Load(), c.want, c.asked)
			}
			if left, _ := os.ReadDir(b.cache.path("fetched")); len(left) > 0 {
				t.Errorf("left in the cache: %v", left)
			}
		})
	}
}

// What a version kept is fetched from the store when its address is gone, and
// a file that is damaged in the cache is fetched again.
func TestFetchFromStore(t *testing.T) {
	o := newObtaining(t)
	data := []byte("content")
	desc := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromBytes(data), Size: int64(len(data))}
	if err := o.registry.PushBlob(t.Context(), "acme/a", desc, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(o.cache.path("fetched"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(o.cache.fetchedPath(hexSum(data)), []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	img := buildAll(t, o.Builder, project(t, fetching("http://127.0.0.1:1/gone", hexSum(data), `target = "/f"`)))
	compareLines(t, contentOf(t, img.Image), "f 644 0:0 content")
}

// A fetched file is kept with the version, also when a warm cache does not have
// it any more, and is what the next machine takes.
func TestFetchKept(t *testing.T) {
	data := []byte("content")
	o := newOrigin(t, serving(data))
	store := newObtaining(t)
	recipe := project(t, fetching(o.URL+"/f", hexSum(data), `target = "/f"`))
	img := buildAll(t, store.Builder, recipe)
	if err := os.RemoveAll(store.cache.path("fetched")); err != nil {
		t.Fatal(err)
	}
	p := &RegistryPublisher{Registry: store.registry, KeepInputs: true}
	if err := store.gather(t.Context(), img, p.Lacking(t.Context(), img)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.keepFiles(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	o.Close()
	again := buildAll(t, builder(t, BuilderOptions{Parents: store.registry}), recipe)
	if again.Digest != img.Digest || len(p.Lacking(t.Context(), img)) != 0 {
		t.Errorf("again: %s, was %s", again.Digest, img.Digest)
	}
}

// entry is one of an archive under test; a name that ends in a slash is a folder.
type entry struct{ name, link, text string }

func tarOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: 0o4755, Uid: 1000, Gid: 1000, Typeflag: tar.TypeReg, Size: int64(len(e.text))}
		switch {
		case strings.HasSuffix(e.name, "/"):
			h.Typeflag = tar.TypeDir
		case strings.HasPrefix(e.link, "="):
			h.Typeflag, h.Linkname = tar.TypeLink, e.link[1:]
		case e.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zipOf(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(0o755)
		if e.link != "" {
			h.SetMode(os.ModeSymlink | 0o777)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, e.text+e.link); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func gzipOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func xzOf(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := xz.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFetchExtract(t *testing.T) {
	entries := []entry{{name: "tool-1.0/bin/"}, {name: "tool-1.0/bin/tool", text: "binary"}, {name: "tool-1.0/t", link: "bin/tool"}, {name: "tool-1.0/doc/readme", text: "words"}}
	plain := tarOf(t, append(entries, entry{name: "tool-1.0/hard", link: "=tool-1.0/bin/tool"})...)
	packed, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		data []byte
		hard bool
	}{
		"tar": {plain, true}, "tar.gz": {gzipOf(t, plain), true}, "tar.xz": {xzOf(t, plain), true}, "tar.zst": {packed.EncodeAll(plain, nil), true}, "zip": {zipOf(t, entries[1:]...), false},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, serving(c.data))
			files := fetching(o.URL+"/tool", hexSum(c.data), "target = \"/opt\"\n extract {\n strip = 1\n exclude = [\"doc/\"]\n }")
			b := builder(t, BuilderOptions{})
			img := buildAll(t, b, project(t, files))
			want := []string{"opt/ 755 0:0", "opt/bin/ 755 0:0", "opt/bin/tool 755 0:0 binary"}
			if c.hard {
				want = append(want, "opt/hard 755 0:0 binary")
			}
			compareLines(t, contentOf(t, img.Image), append(want, "opt/t 777 0:0 -> bin/tool")...)
			again := buildAll(t, builder(t, BuilderOptions{Cache: b.cache}), project(t, files))
			if again.Digest != img.Digest || !again.Steps[0].Cached || o.asked.Load() != 1 {
				t.Errorf("again: %s, was %s, asked %d times", again.Digest, img.Digest, o.asked.Load())
			}
		})
	}
}

// FAULTS 23 and 24, in archives that are fetched: nothing of them is unpacked
// anywhere, and no path of them is used on the host.
func TestFetchHostileArchives(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"absolute":        {tarOf(t, entry{name: "/etc/x", text: "x"}), "absolute path"},
		"climbs":          {tarOf(t, entry{name: "a/../../x", text: "x"}), "path with .."},
		"through symlink": {tarOf(t, entry{name: "a", link: "/etc"}, entry{name: "a/x", text: "x"}), "which is no folder"},
		"hard link out":   {tarOf(t, entry{name: "a", link: "=../../etc/passwd"}), "hard link to"},
		"hard link to nothing": {tarOf(t, entry{name: "a", link: "=etc/passwd"}),
			"which is no file before it"},
		"whiteout":     {tarOf(t, entry{name: ".wh.etc"}, entry{name: ".wh.x", text: "x"}), "whiteouts"},
		"zip climbs":   {zipOf(t, entry{name: "../x", text: "x"}), "path is not clean"},
		"zip absolute": {zipOf(t, entry{name: "/x", text: "x"}), "absolute path"},
		"no archive":   {[]byte("<html>not found</html>"), "is no archive"},
		"cut short":    {gzipOf(t, tarOf(t, entry{name: "a", text: strings.Repeat("x", 9000)}))[:40], "unexpected EOF"},
		"nothing left": {tarOf(t, entry{name: "a", text: "x"}), "nothing of"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, serving(c.data))
			strip := "extract {}"
			if name == "nothing left" {
				strip = "extract { strip = 3 }"
			}
			b := builder(t, BuilderOptions{})
			_, err := b.Build(t.Context(), project(t, fetching(o.URL+"/f", hexSum(c.data), "target = \"/opt\"\n "+strip)).Images[0])
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left, _ := os.ReadDir(b.cache.path("tmp")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// FAULTS 24: an archive may unpack to a bounded multiple of its size only.
func TestFetchBomb(t *testing.T) {
	bomb := gzipOf(t, make([]byte, 4<<20))
	if got := archiveLimits(int64(len(bomb))).Bytes; got > 1<<30+200*int64(len(bomb)) {
		t.Errorf("%d bytes may become %d", len(bomb), got)
	}
	a := &archiveReading{limits: layers.Limits{Bytes: 1 << 20, Entries: 10}, at: map[string]int{}}
	err := layers.Walk(t.Context(), bytes.NewReader(tarOf(t, entry{name: "a", text: strings.Repeat("x", 2<<20)})), a.limits, a.tarEntry)
	var bad *layers.ArchiveError
	if !errors.As(err, &bad) || bad.Fault != layers.FaultLimit {
		t.Errorf("tar: %v", err)
	}
	data := zipOf(t, entry{name: "a", text: strings.Repeat("x", 2<<20)})
	file := t.TempDir() + "/z"
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := a.zip(t.Context(), f, int64(len(data))); !errors.As(err, &bad) || bad.Fault != layers.FaultLimit {
		t.Errorf("zip: %v", err)
	}
}

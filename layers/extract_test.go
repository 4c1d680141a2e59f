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
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type unixStat = syscall.Stat_t

// jail is a root to unpack in, beside a file that must stay as it is.
type jail struct{ dir, root, outside string }

func newJail(t testing.TB) *jail {
	j := &jail{dir: t.TempDir()}
	j.root, j.outside = filepath.Join(j.dir, "root"), filepath.Join(j.dir, "outside")
	must(t, os.MkdirAll(j.root, 0o755))
	write(t, j.outside, "secret", "untouched")
	return j
}

func (j *jail) check(t testing.TB, name string) {
	t.Helper()
	list, err := os.ReadDir(j.dir)
	must(t, err)
	content, err := os.ReadFile(filepath.Join(j.outside, "secret"))
	info, statErr := os.Stat(filepath.Join(j.outside, "secret"))
	inside, _ := os.ReadDir(j.outside)
	if err != nil || statErr != nil || string(content) != "untouched" || len(list) != 2 || len(inside) != 1 ||
		info.Mode().Perm() != 0o644 || info.Sys().(*unixStat).Nlink != 1 {
		t.Errorf("%s: something outside of the root was touched", name)
	}
}

func reg(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeReg} }
func link(name, to string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
}

func hard(name, to string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
}
func dir(name string) *tar.Header { return &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755} }

// hostile are archives that must be refused, each with its fault.
func hostile(outside string) map[string]struct {
	fault   Fault
	headers []*tar.Header
} {
	type c = struct {
		fault   Fault
		headers []*tar.Header
	}
	h := func(f Fault, hs ...*tar.Header) c { return c{f, hs} }
	return map[string]c{
		"absolute":                     h(FaultPath, reg(outside+"/secret")),
		"dot dot":                      h(FaultPath, reg("../outside/secret")),
		"inner dot dot":                h(FaultPath, dir("a"), reg("a/../../outside/secret")),
		"dot dot at the end":           h(FaultPath, dir("a/..")),
		"symlink for the root":         h(FaultPath, link("./.", outside)),
		"symlink for the root, plain":  h(FaultPath, link(".", outside)),
		"file for the root":            h(FaultPath, reg(".")),
		"through a relative symlink":   h(FaultEscape, link("a", "../outside"), reg("a/secret")),
		"through two symlinks":         h(FaultEscape, dir("d"), link("d/up", ".."), link("out", "d/up/../outside"), reg("out/secret")),
		"folder through a symlink":     h(FaultEscape, link("a", "../outside"), dir("a/new")),
		"symlink through a symlink":    h(FaultEscape, link("a", "../outside"), link("a/new", "x")),
		"whiteout through a symlink":   h(FaultEscape, link("a", "../outside"), reg("a/.wh.secret")),
		"opaque through a symlink":     h(FaultEscape, link("a", "../outside"), reg("a/.wh..wh..opq")),
		"whiteout of the parent":       h(FaultPath, dir("a"), reg("a/.wh...")),
		"whiteout of the folder":       h(FaultPath, dir("a"), reg("a/.wh..")),
		"whiteout of nothing":          h(FaultPath, reg(".wh.")),
		"hard link out":                h(FaultEscape, hard("a", "../outside/secret")),
		"hard link out, absolute":      h(FaultEscape, hard("a", outside+"/secret")),
		"hard link through a symlink":  h(FaultEscape, link("a", "../outside"), hard("b", "a/secret")),
		"hard link to a folder":        h(FaultConflict, dir("d"), hard("b", "d")),
		"hard link to the root":        h(FaultEscape, hard("b", ".")),
		"hard link to nothing":         h(FaultConflict, hard("b", "none")),
		"hard link to itself":          h(FaultConflict, hard("b", "b")),
		"below a file":                 h(FaultConflict, reg("f"), reg("f/x")),
		"below a fifo":                 h(FaultConflict, &tar.Header{Name: "p", Typeflag: tar.TypeFifo}, reg("p/x")),
		"symlink loop":                 h(FaultConflict, link("a", "b"), link("b", "a"), reg("a/x")),
		"empty symlink":                h(FaultPath, link("a", "")),
		"not UTF-8":                    h(FaultPath, reg("caf\xe9")),
		"a long name":                  h(FaultPath, reg(strings.Repeat("x", 256))),
		"a long path":                  h(FaultLimit, reg(strings.Repeat("x/", 2100)+"x")),
		"overlay mark":                 h(FaultUnsupported, &tar.Header{Name: "d", Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/outside"}}),
		"overlay mark of users":        h(FaultUnsupported, &tar.Header{Name: "d", Typeflag: tar.TypeDir, PAXRecords: map[string]string{"SCHILY.xattr.user.overlay.opaque": "y"}}),
		"device that means a whiteout": h(FaultUnsupported, &tar.Header{Name: "c", Typeflag: tar.TypeChar}),
		"device beyond numbers":        h(FaultCorrupt, &tar.Header{Name: "c", Typeflag: tar.TypeChar, Devmajor: 5000, Devminor: 1}),
		"contiguous file of a vendor":  h(FaultUnsupported, &tar.Header{Name: "v", Typeflag: 'V'}),
	}
}

// TestExtractRefuses holds FAULTS 23.
func TestExtractRefuses(t *testing.T) {
	for _, overlay := range []bool{false, true} {
		j := newJail(t)
		for name, test := range hostile(j.outside) {
			j := newJail(t)
			label := fmt.Sprintf("%s, overlay %v", name, overlay)
			raw := rawTar(t, test.headers...)
			err := Extract(context.Background(), bytes.NewReader(raw), j.root, ExtractOptions{Overlay: overlay})
			var archive *ArchiveError
			if !errors.As(err, &archive) || archive.Fault != test.fault {
				t.Errorf("%s: error %v, want fault %s", label, err, test.fault)
			}
			j.check(t, label)
		}
	}
}

// TestExtractStaysInside covers what is allowed because it stays inside
// (FAULTS 23).
func TestExtractStaysInside(t *testing.T) {
	for _, overlay := range []bool{false, true} {
		j := newJail(t)
		raw := rawTar(t, dir("./"), dir("usr"), dir("usr/bin"), link("bin", "usr/bin"), reg("bin/tool"),
			link("abs", "/usr/bin"), reg("abs/other"), hard("bin/same", "abs/tool"), link("out", "../outside/secret"),
			reg("implied/by/this"), link("gone", "../outside"), reg("gone"))
		must(t, Extract(context.Background(), bytes.NewReader(raw), j.root, ExtractOptions{Overlay: overlay}))
		j.check(t, "inside")
		for _, p := range []string{"usr/bin/tool", "usr/bin/other", "usr/bin/same", "implied/by/this", "gone"} {
			if info, err := os.Lstat(filepath.Join(j.root, p)); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%s: %v, %v", p, info, err)
			}
		}
	}
}

// TestExtractOverHostileRoot: symlinks that an earlier layer left do not lead
// out either (FAULTS 23).
func TestExtractOverHostileRoot(t *testing.T) {
	for _, h := range []*tar.Header{reg("a/secret"), reg("a/.wh.secret"), reg("a/.wh..wh..opq"), hard("x", "a/secret"), dir("a/d")} {
		j := newJail(t)
		must(t, os.Symlink("../outside", filepath.Join(j.root, "a")))
		err := Extract(context.Background(), bytes.NewReader(rawTar(t, h)), j.root, ExtractOptions{})
		if err == nil {
			t.Errorf("%s was accepted", h.Name)
		}
		j.check(t, h.Name)
	}
	// A plain file replaces the link itself.
	j := newJail(t)
	must(t, os.Symlink("../outside/secret", filepath.Join(j.root, "a")))
	must(t, Extract(context.Background(), bytes.NewReader(rawTar(t, reg("a"))), j.root, ExtractOptions{}))
	j.check(t, "file over a link")
}

// TestExtractLimits holds FAULTS 24.
func TestExtractLimits(t *testing.T) {
	many := make([]*tar.Header, 200)
	for i := range many {
		many[i] = reg(fmt.Sprint("f", i))
	}
	attrs := reg("x")
	attrs.PAXRecords = map[string]string{}
	for i := range 5 {
		attrs.PAXRecords[fmt.Sprint("SCHILY.xattr.user.big", i)] = strings.Repeat("x", 60<<10)
	}
	big := reg("big")
	big.Size = 1 << 20
	for _, test := range []struct {
		name   string
		raw    []byte
		limits Limits
		fault  Fault
	}{
		{"entries", rawTar(t, many...), Limits{Entries: 100}, FaultLimit},
		{"bytes", rawTar(t, big), Limits{Bytes: 100 << 10}, FaultLimit},
		{"attributes", rawTar(t, attrs), Limits{}, FaultLimit},
		{"pax record of 2 MiB", hugePax(t), Limits{}, FaultCorrupt},
		{"sparse", sparseTar(t), Limits{}, FaultUnsupported},
		{"cut in a header", rawTar(t, big)[:300], Limits{}, FaultCorrupt},
		{"cut in content", rawTar(t, big)[:9000], Limits{}, FaultCorrupt},
		{"noise", []byte(noise(2000)), Limits{}, FaultCorrupt},
	} {
		j := newJail(t)
		err := Extract(context.Background(), bytes.NewReader(test.raw), j.root, ExtractOptions{Limits: test.limits})
		var archive *ArchiveError
		if !errors.As(err, &archive) || archive.Fault != test.fault {
			t.Errorf("%s: error %v, want fault %s", test.name, err, test.fault)
		}
		j.check(t, test.name)
	}
}

// TestBomb: a few KiB that unpack to endless bytes end at the limit (FAULTS 24).
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	w, err := NewCompressor(&bomb, Zstd)
	must(t, err)
	tw := tar.NewWriter(w)
	must(t, tw.WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Size: 1 << 30, Mode: 0o644}))
	_, err = io.CopyN(tw, zeros{}, 256<<20)
	must(t, err)
	must(t, w.Close())
	r, err := Decompress(bytes.NewReader(bomb.Bytes()))
	must(t, err)
	j := newJail(t)
	err = Extract(context.Background(), r, j.root, ExtractOptions{Limits: Limits{Bytes: 64 << 20}})
	var archive *ArchiveError
	if !errors.As(err, &archive) || archive.Fault != FaultLimit {
		t.Errorf("a bomb of %d bytes: %v", bomb.Len(), err)
	}
}

// hugePax is an archive whose extended header claims 2 MiB.
func hugePax(t testing.TB) []byte {
	record := strings.Repeat("x", 2<<20)
	value := fmt.Sprintf("%d comment=%s\n", len(record)+len(" comment=\n")+7, record)
	raw := rawTar(t, &tar.Header{Name: "PaxHeaders.0/x", Typeflag: tar.TypeReg, Size: int64(len(value))})
	raw[156] = tar.TypeXHeader
	checksum(raw)
	return raw
}

// sparseTar is a sparse file in GNU's format 1.0: 1 TiB of nothing.
func sparseTar(t testing.TB) []byte {
	var buf bytes.Buffer
	pax := ""
	for _, record := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=s", "GNU.sparse.realsize=1099511627776"} {
		pax += fmt.Sprintf("%d %s\n", len(record)+4, record)
	}
	raw := rawTar(t, &tar.Header{Name: "p", Typeflag: tar.TypeReg, Size: int64(len(pax))})
	copy(raw[512:], pax)
	raw[156] = tar.TypeXHeader
	checksum(raw)
	buf.Write(raw[:1024])
	body := rawTar(t, &tar.Header{Name: "s", Typeflag: tar.TypeReg, Size: 512})
	copy(body[512:], append([]byte("1\n1099511627776\n0\n"), make([]byte, 494)...))
	buf.Write(body)
	return buf.Bytes()
}

// checksum sets that of the first header again.
func checksum(raw []byte) {
	copy(raw[148:156], "        ")
	sum := 0
	for _, b := range raw[:512] {
		sum += int(b)
	}
	copy(raw[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

// TestExtractEverything: permissions, owners, times, attributes, devices and
// hard links come back as they went in.
func TestExtractEverything(t *testing.T) {
	src := t.TempDir()
	write(t, src, "bin/su", "suid")
	must(t, os.Chown(filepath.Join(src, "bin/su"), 7, 8))
	must(t, unix.Chmod(filepath.Join(src, "bin/su"), 0o6755))
	write(t, src, "bin/ping", "capable")
	must(t, unix.Setxattr(filepath.Join(src, "bin/ping"), "security.capability", []byte(capability), 0))
	must(t, unix.Setxattr(filepath.Join(src, "bin"), "user.note", []byte("folder"), 0))
	must(t, os.Link(filepath.Join(src, "bin/ping"), filepath.Join(src, "bin/a-ping")))
	must(t, os.Symlink("ping", filepath.Join(src, "bin/link")))
	must(t, os.Link(filepath.Join(src, "bin/link"), filepath.Join(src, "bin/link2")))
	must(t, os.Lchown(filepath.Join(src, "bin/link"), 9, 10))
	must(t, unix.Mknod(filepath.Join(src, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, unix.Mknod(filepath.Join(src, "loop"), unix.S_IFBLK|0o660, int(unix.Mkdev(7, 300))))
	must(t, unix.Mkfifo(filepath.Join(src, "pipe"), 0o622))
	must(t, os.Mkdir(filepath.Join(src, "locked"), 0o755))
	write(t, src, "locked/in", strings.Repeat("\x00", 300<<10)+"end")
	must(t, os.Chmod(filepath.Join(src, "locked"), 0o111))
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(socket)
	must(t, unix.Bind(socket, &unix.SockaddrUnix{Name: filepath.Join(src, "socket")}))
	old := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, p := range []string{"bin/ping", "locked/in", "locked", "bin"} {
		must(t, os.Chtimes(filepath.Join(src, p), old, old))
	}
	entries, err := Tree(src, TreeOptions{ModTime: func(_ string, info os.FileInfo) time.Time { return info.ModTime().Truncate(time.Second) }})
	must(t, err)
	l, _ := build(t, Gzip, entries...)
	want := describeEntries(t, entries)
	if strings.Contains(want, "socket") || !strings.Contains(want, "6755 7:8") || !strings.Contains(want, "security.capability") ||
		!strings.Contains(want, "bin/ping 1 ") || !strings.Contains(want, "bin/link2 1 ") {
		t.Fatalf("listed\n%s", want)
	}
	for _, overlay := range []bool{false, true} {
		dst := t.TempDir()
		old := unix.Umask(0o077)
		extract(t, l, dst, ExtractOptions{Overlay: overlay})
		unix.Umask(old)
		if got := describeTree(t, dst, true); got != want {
			t.Errorf("overlay %v: extracted\n%swant\n%s", overlay, got, want)
		}
	}
}

// TestWhiteoutsMeanBelow: whiteouts remove what lies below wherever they
// stand, never what their own layer brings.
func TestWhiteoutsMeanBelow(t *testing.T) {
	headers := map[string][]*tar.Header{
		"first": {reg(".wh.d"), reg(".wh.f"), reg(".wh.no"), dir("d"), reg("d/new"), reg("f"), reg("o/.wh..wh..opq"), reg("o/new")},
		"last":  {dir("d"), reg("d/new"), reg("f"), reg("o/new"), reg("o/.wh..wh..opq"), reg(".wh.no"), reg(".wh.f"), reg(".wh.d")},
		"implied": {reg(".wh.d"), reg("d/new"), reg("f"), reg(".wh.f"), reg("o/new"), reg("o/.wh..wh..opq"),
			reg(".wh..wh.plnk"), reg(".wh..wh.aufs")},
	}
	for name, hs := range headers {
		lower := base(t, func(r string) {
			write(t, r, "d/old/deep", "x")
			write(t, r, "f", "old")
			write(t, r, "o/old", "old")
		})
		raw := rawTar(t, hs...)
		top := base(t, func(string) {})
		must(t, Extract(context.Background(), bytes.NewReader(raw), top, ExtractOptions{Overlay: true, Lowers: []string{lower}}))
		_, mounted := change(t, t.TempDir(), []string{lower, top}, func(string) {})
		must(t, Extract(context.Background(), bytes.NewReader(raw), lower, ExtractOptions{}))
		flat := flatView(t, lower)
		want := "d d/new f o o/new"
		var got []string
		for line := range strings.Lines(flat) {
			got = append(got, strings.Fields(line)[0])
		}
		if strings.Join(got, " ") != want || flat != mounted {
			t.Errorf("%s: flat\n%smounted\n%s", name, flat, mounted)
		}
	}
}

// TestImpliedFolders: a folder that a layer only implies keeps the look that
// it has below.
func TestImpliedFolders(t *testing.T) {
	lower := base(t, func(r string) {
		write(t, r, "root/x", "x")
		must(t, os.Chown(filepath.Join(r, "root"), 3, 4))
		must(t, os.Chmod(filepath.Join(r, "root"), 0o700))
		must(t, os.Chtimes(filepath.Join(r, "root"), Epoch(), Epoch()))
	})
	l, _ := build(t, Gzip, text("root/new/y", "y"))
	top := base(t, func(string) {})
	extract(t, l, top, ExtractOptions{Overlay: true, Lowers: []string{lower}})
	extract(t, l, lower, ExtractOptions{})
	for _, dir := range []string{top, lower} {
		info, err := os.Stat(filepath.Join(dir, "root"))
		must(t, err)
		st := info.Sys().(*unixStat)
		if info.Mode().Perm() != 0o700 || st.Uid != 3 || st.Gid != 4 || !info.ModTime().Equal(Epoch()) {
			t.Errorf("implied folder is %v %d:%d %v", info.Mode(), st.Uid, st.Gid, info.ModTime())
		}
	}
}

func TestUserXattr(t *testing.T) {
	dir := t.TempDir()
	must(t, Extract(context.Background(), bytes.NewReader(rawTar(t, reg("o/.wh..wh..opq"), reg("o/x"))), dir,
		ExtractOptions{Overlay: true, UserXattr: true}))
	buf := make([]byte, 8)
	n, err := unix.Getxattr(filepath.Join(dir, "o"), "user.overlay.opaque", buf)
	if err != nil || string(buf[:n]) != "y" {
		t.Errorf("opaque mark %q, %v", buf[:n], err)
	}
}

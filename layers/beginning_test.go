package layers

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/iotest"
)

// lentFile lends the blocks and beginnings of the layer that was made last.
type lentFile struct {
	memoryBlocks
	file      []byte
	had, made map[BlockKey]Beginning
}

func newLentFile() *lentFile {
	return &lentFile{memoryBlocks: memoryBlocks{have: map[BlockKey][]byte{}}, made: map[BlockKey]Beginning{}}
}

func (l *lentFile) Beginning(k BlockKey) (Beginning, io.Reader) {
	b, ok := l.had[k]
	if !ok {
		return b, nil
	}
	for name, shorter := range l.had {
		if shorter.Raw <= b.Raw {
			l.made[name] = shorter
		}
	}
	return b, bytes.NewReader(l.file)
}

func (l *lentFile) Began(k BlockKey, b Beginning) { l.made[k] = b }

// next lends of the layer that was made.
func (l *lentFile) next(file []byte) {
	l.file, l.had, l.made = file, l.made, map[BlockKey]Beginning{}
}

// files are entries of some kinds whose content is known; read counts those
// that are opened.
func files(n, size int, read map[string]int) []Entry {
	var list []Entry
	for i := range n {
		text := bytes.Repeat(fmt.Appendf(nil, "%x\n", sha256.Sum256([]byte{byte(i), byte(i >> 8)})), size/65+20)[:size+i]
		e := Entry{
			Path: fmt.Sprintf("dir/file%05d", i), Type: tar.TypeReg, Mode: 0o644, Size: int64(len(text)),
			Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(text)), ModTime: Epoch(),
		}
		e.Open = func() (io.ReadCloser, error) {
			read[e.Path]++
			return io.NopCloser(bytes.NewReader(text)), nil
		}
		if i%7 == 3 {
			e.Xattrs = map[string]string{"user.some": "value"}
		}
		list = append(list, e)
	}
	return append(list, Entry{Path: "dir", Type: tar.TypeDir, Mode: 0o755, ModTime: Epoch()},
		Entry{Path: "dir/empty", Type: tar.TypeReg, Mode: 0o600, ModTime: Epoch()},
		Entry{Path: "dir/file00001link", Type: tar.TypeLink, Link: "dir/file00001", ModTime: Epoch()},
		Entry{Path: "dir/linked", Type: tar.TypeSymlink, Link: "empty", Mode: 0o777, ModTime: Epoch()})
}

// edited has another content in one file.
func edited(list []Entry, i int, text string) []Entry {
	e := &list[i]
	e.Size, e.Digest = int64(len(text)), fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	e.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte(text))), nil }
	return list
}

// A layer that is made from a beginning on is the layer that is made as a
// whole, and what lies in the beginning is not read.
func TestBuildFromBeginning(t *testing.T) {
	for comp, of := range map[Compression]struct{ n, size int }{Gzip: {600, 9000}, Zstd: {300, 40_000}} {
		lent := newLentFile()
		var list []Entry
		for round, at := range []int{-1, of.n - 1, of.n / 2, of.n * 3 / 4, -1, 0, -1} {
			read := map[string]int{}
			if list = files(of.n, of.size, read); at >= 0 {
				list = edited(list, at, fmt.Sprint("changed ", round))
			}
			want, wantIndex, err := Build(t.Context(), filepath.Join(t.TempDir(), "l"), comp, list)
			if err != nil {
				t.Fatal(err)
			}
			clear(read)
			got, index, err := BuildWith(t.Context(), filepath.Join(t.TempDir(), "l"), comp, list, BuildOptions{Blocks: lent, Fleeting: true})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got.Meta, want.Meta) {
				t.Errorf("%s, change of %d: %+v, want %+v", comp, at, got.Meta, want.Meta)
			}
			if !reflect.DeepEqual(index, wantIndex) {
				t.Errorf("%s, change of %d: another index", comp, at)
			}
			if round == 1 && len(read) > of.n/2 {
				t.Errorf("%s: %d of %d files were read for a change of the last", comp, len(read), of.n)
			}
			file, err := os.ReadFile(got.Path)
			if err != nil {
				t.Fatal(err)
			}
			lent.next(file)
		}
	}
}

// Damage of what is lent is found out.
func TestBuildFromDamagedBeginning(t *testing.T) {
	list := files(400, 9000, map[string]int{})
	lent := newLentFile()
	path := filepath.Join(t.TempDir(), "l")
	if _, _, err := BuildWith(t.Context(), path, Gzip, list, BuildOptions{Blocks: lent}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lent.next(whole)
	damaged := bytes.Clone(whole)
	damaged[1000] ^= 1
	for name, file := range map[string][]byte{"changed": damaged, "cut short": whole[:1000], "empty": nil} {
		lent.file = file
		into := filepath.Join(t.TempDir(), "l")
		_, _, err := BuildWith(t.Context(), into, Gzip, list, BuildOptions{Blocks: lent})
		if !errors.Is(err, ErrBeginning) {
			t.Errorf("%s: %v, want ErrBeginning", name, err)
		}
		if _, err := os.Stat(into); err == nil {
			t.Errorf("%s: there is a layer", name)
		}
	}
}

// unreadable is a lentFile on a bad disk.
type unreadable struct{ *lentFile }

func (u unreadable) Beginning(k BlockKey) (Beginning, io.Reader) {
	b, file := u.lentFile.Beginning(k)
	if file == nil {
		return b, nil
	}
	return b, iotest.ErrReader(fs.ErrInvalid)
}

// What is lent and cannot be read is as good as damaged.
func TestBuildFromUnreadableBeginning(t *testing.T) {
	list, lent := files(300, 9000, map[string]int{}), newLentFile()
	for _, blocks := range []Blocks{lent, unreadable{lent}} {
		_, _, err := BuildWith(t.Context(), filepath.Join(t.TempDir(), "l"), Gzip, list, BuildOptions{Blocks: blocks})
		if blocks == Blocks(lent) {
			lent.next(nil)
		} else if !errors.Is(err, ErrBeginning) || !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%v, want ErrBeginning", err)
		}
	}
}

// A digest of what is no file is in no index, whether it is written again or not.
func TestBuildFromBeginningOddDigest(t *testing.T) {
	list, lent := files(300, 9000, map[string]int{}), newLentFile()
	list = append(list, Entry{Path: "a", Type: tar.TypeSymlink, Link: "b", Digest: emptyDigest, ModTime: Epoch()})
	for range 2 {
		got, index, err := BuildWith(t.Context(), filepath.Join(t.TempDir(), "l"), Gzip, list, BuildOptions{Blocks: lent})
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := index.Node("a"); n.Digest != "" {
			t.Errorf("a link has digest %q", n.Digest)
		}
		file, err := os.ReadFile(got.Path)
		if err != nil {
			t.Fatal(err)
		}
		lent.next(file)
	}
}

// What is read must be what its digest says.
func TestBuildOtherThanDigest(t *testing.T) {
	list := edited(files(3, 100, map[string]int{}), 1, "text")
	list[1].Digest = list[0].Digest
	_, _, err := Build(t.Context(), filepath.Join(t.TempDir(), "l"), Gzip, list)
	if !errors.Is(err, ErrChanged) {
		t.Errorf("%v, want ErrChanged", err)
	}
}

package bake

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	"golang.org/x/sync/errgroup"

	"kiln/layers"
)

// What of a layer is looked into at once, in bytes.
const (
	sniffSize   = 8 << 10  // a NUL in here makes a file binary
	chunkSize   = 1 << 20  // of a text
	chunkShared = 64 << 10 // what neighbouring chunks have in common
)

// layerScan is what was found in one layer.
type layerScan struct {
	Found  []fileSecret `json:"found,omitempty"`
	Marks  []mark       `json:"marks,omitempty"`
	Files  int          `json:"files"` // that were read as text
	Unread unread       `json:"unread,omitempty"`
	// Packages that files of the layer describe.
	Packages []foundPackage `json:"packages,omitempty"`
}

// fileSecret is a secret and the file that holds it.
type fileSecret struct {
	Path   string `json:"path"`             // absolute; "archive!member" inside an archive
	SHA256 string `json:"sha256,omitempty"` // of the file
	Secret
}

// unread counts what was not looked into, by reason.
type unread map[string]count

// count is a number of files, their size, and the first of them.
type count struct {
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	First string `json:"first"`
}

// Reasons not to look into a file.
const (
	isBinary  = "binary"
	isLarge   = "archive over the limit"
	isDamaged = "archive that cannot be read"
	isPacked  = "compressed in a form that is not opened"
)

func (u unread) add(reason, name string, size int64) {
	c := u[reason]
	if c.First == "" || name < c.First {
		c.First = name
	}
	u[reason] = count{c.Files + 1, c.Bytes + size, c.First}
}

// tarScan is a scan of one layer under way: one goroutine reads, the others
// look for secrets.
type tarScan struct {
	scanner  Scanner
	expanded int64
	texts    chan textChunk
	dpkg     debianSums

	mu     sync.Mutex
	result *layerScan
	guess  map[string]string // dpkg's line for files with a guess, by path
	large  []largeSecret
}

// largeSecret is one whose file's sum is not known before its end.
type largeSecret struct {
	fileSecret
	file *fileSum
}

// textChunk is a part of a text.
type textChunk struct {
	name  string
	text  []byte
	line  int        // lines before it
	whole bool       // it is the file
	file  *fileSum   // of one of several chunks, ready once all of it was read
	in    *outerFile // that holds it; nil in no archive
}

// outerFile is an archive in a layer.
type outerFile struct {
	name string
	raw  []byte
}

// scanTar looks into every file of a layer, also into those that a later layer
// removes. Of an archive among them it reads no more than expanded bytes.
func scanTar(ctx context.Context, scanner Scanner, r io.Reader, expanded int64) (*layerScan, error) {
	s := newTarScan(scanner, expanded)
	err := s.run(ctx, runtime.GOMAXPROCS(0), func(ctx context.Context) error {
		return s.read(ctx, tar.NewReader(r), "/", nil, 0)
	})
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil { // its end checks its digest
		return nil, err
	}
	s.settle()
	return s.result, nil
}

func newTarScan(scanner Scanner, expanded int64) *tarScan {
	return &tarScan{
		scanner: scanner, expanded: expanded, texts: make(chan textChunk, runtime.GOMAXPROCS(0)),
		result: &layerScan{Unread: unread{}}, guess: map[string]string{}, dpkg: debianSums{},
	}
}

// run has some workers look into the texts that read sends.
func (s *tarScan) run(ctx context.Context, workers int, read func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(s.texts)
		return read(ctx)
	})
	for range workers {
		group.Go(func() error {
			for c := range s.texts {
				if err := s.look(c); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// read walks an archive of the given depth, 0 for the layer, in a file of it.
func (s *tarScan) read(ctx context.Context, archive *tar.Reader, prefix string, in *outerFile, depth int) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if depth == 0 && h.Size == 0 && strings.HasPrefix(path.Base(h.Name), layers.WhiteoutPrefix) {
			continue
		}
		name := prefix + strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if depth == 0 {
			s.result.Marks = append(s.result.Marks, marksOf(name, h)...)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := s.file(ctx, name, h.Size, archive, in, depth); err != nil {
			return err
		}
	}
}

// file looks into one file: as text, as an archive, or only at its name.
func (s *tarScan) file(ctx context.Context, name string, size int64, r io.Reader, in *outerFile, depth int) error {
	buf := bufio.NewReaderSize(r, sniffSize)
	head, err := buf.Peek(sniffSize)
	if err != nil && err != io.EOF {
		return err
	}
	kind := sniff(head)
	if depth == 0 && (kind == plainText || kind == other) {
		if d := descriptionOf(name, head); d != nil {
			return s.describing(ctx, d, kind, size, buf)
		}
	}
	switch {
	case kind == plainText:
		return s.text(ctx, name, buf, in)
	case kind == wideText:
		return s.wide(ctx, name, size, buf, in)
	case kind != other && depth < maxDepth:
		return s.archive(ctx, kind, name, size, buf, in, depth)
	case kind != other || packed(head):
		s.skip(isPacked, name, size)
	default:
		s.skip(isBinary, name, size)
	}
	return s.send(ctx, textChunk{name: name, whole: true, in: in})
}

// describing looks into a file that describes packages, and notes them.
func (s *tarScan) describing(ctx context.Context, d *description, kind contentKind, size int64, r io.Reader) error {
	r = io.TeeReader(r, d)
	var err error
	if kind == plainText {
		err = s.text(ctx, d.name, r, nil)
	} else if _, err = io.Copy(io.Discard, r); err == nil {
		s.skip(isBinary, d.name, size)
		err = s.send(ctx, textChunk{name: d.name, whole: true})
	}
	if err != nil {
		return err
	}
	found := d.packages()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Packages = append(s.result.Packages, found...)
	return nil
}

func (s *tarScan) skip(reason, name string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.result.Unread.add(reason, name, size)
}

func (s *tarScan) send(ctx context.Context, c textChunk) error {
	select {
	case s.texts <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// text sends a text in chunks, of which each has the end of the one before.
func (s *tarScan) text(ctx context.Context, name string, r io.Reader, in *outerFile) error {
	if read := s.dpkg.reader(name); read != nil && in == nil {
		lines := &lineWriter{line: read}
		defer lines.Close()
		r = io.TeeReader(r, lines)
	}
	s.mu.Lock()
	s.result.Files++
	s.mu.Unlock()
	f := &fileSum{sha256.New(), md5.New()}
	line, rest := 0, []byte(nil)
	for first := true; ; first = false {
		chunk := make([]byte, len(rest), len(rest)+4<<10)
		copy(chunk, rest)
		buf := bytes.NewBuffer(chunk)
		n, err := io.CopyN(buf, r, chunkSize)
		if err != nil && err != io.EOF {
			return err
		}
		chunk = buf.Bytes()
		last := err == io.EOF
		whole := first && last
		if !whole {
			f.sha.Write(chunk[len(rest):])
			f.md5.Write(chunk[len(rest):])
		}
		if n > 0 || whole {
			c := textChunk{name: name, text: chunk, line: line, whole: whole, file: f, in: in}
			if err := s.send(ctx, c); err != nil {
				return err
			}
		}
		if last {
			return nil
		}
		keep := max(0, len(chunk)-chunkShared)
		line += bytes.Count(chunk[:keep], []byte{'\n'})
		rest = chunk[keep:]
	}
}

// fileSum is what the sums of a file of several chunks are made with. Nobody
// asks them before all of the layer was read.
type fileSum struct{ sha, md5 hash.Hash }

// wide turns UTF-16 with a byte order mark into UTF-8.
func (s *tarScan) wide(ctx context.Context, name string, size int64, r io.Reader, in *outerFile) error {
	raw, err := io.ReadAll(io.LimitReader(r, chunkSize+1))
	if err != nil {
		return err
	}
	if len(raw) > chunkSize {
		s.skip(isBinary, name, size)
		return nil
	}
	units := make([]uint16, len(raw)/2)
	for i := range units {
		lo, hi := raw[2*i], raw[2*i+1]
		if raw[0] == 0xfe {
			lo, hi = hi, lo
		}
		units[i] = uint16(lo) | uint16(hi)<<8
	}
	return s.text(ctx, name, strings.NewReader(string(utf16.Decode(units))), in)
}

// maxAlike bounds the findings of one rule in one chunk, and in one file: what
// is allowed or excused there is so for all of them.
const maxAlike = 100

// look finds the secrets of a chunk.
func (s *tarScan) look(c textChunk) error {
	found, err := s.scanner.Find(c.name, c.text)
	if err != nil || len(found) == 0 {
		return err
	}
	large := c.in == nil && c.text != nil && !c.whole
	sum, dpkg := "", ""
	if !large {
		sum, dpkg = c.sums()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	alike := map[string]int{}
	for _, f := range found {
		if alike[f.Rule]++; alike[f.Rule] > maxAlike {
			continue
		}
		if f.Line > 0 {
			f.Line += c.line
		}
		one := fileSecret{Path: c.name, SHA256: sum, Secret: f}
		if large {
			s.large = append(s.large, largeSecret{one, c.file})
			continue
		}
		if f.Guess {
			s.guess[c.name] = dpkg
		}
		s.result.Found = append(s.result.Found, one)
	}
	return nil
}

// sums are the SHA-256 of the file that a whole chunk is from, in hex, and the
// line that dpkg would have for it; "" for what was found by its name.
func (c textChunk) sums() (sum, dpkg string) {
	name, content := c.name, c.text
	switch {
	case c.in != nil:
		name, content = c.in.name, c.in.raw
	case c.text == nil:
		return "", ""
	}
	s, m := sha256.Sum256(content), md5.Sum(content)
	return hex.EncodeToString(s[:]), hex.EncodeToString(m[:]) + " " + name
}

// ofPackage is why a guess does not count in a file that is as its Debian
// package has it: what was published to all is no secret of this image.
const ofPackage = "as its Debian package has it"

// settle completes and sorts what was found, drops repeats, and excuses guesses
// in files of Debian packages that are as dpkg's sums say.
func (s *tarScan) settle() {
	for _, l := range s.large {
		l.SHA256 = hex.EncodeToString(l.file.sha.Sum(nil))
		if l.Guess {
			s.guess[l.Path] = hex.EncodeToString(l.file.md5.Sum(nil)) + " " + l.Path
		}
		s.result.Found = append(s.result.Found, l.fileSecret)
	}
	for i, f := range s.result.Found {
		if f.Guess && f.Known == "" && s.dpkg[s.guess[f.Path]] {
			s.result.Found[i].Known = ofPackage
		}
	}
	slices.SortFunc(s.result.Packages, comparePackages)
	slices.SortFunc(s.result.Found, compareSecrets)
	s.result.Found = slices.Compact(s.result.Found)
	alike := map[[2]string]int{}
	s.result.Found = slices.DeleteFunc(s.result.Found, func(f fileSecret) bool {
		at := [2]string{f.Path, f.Rule}
		alike[at]++
		return alike[at] > maxAlike
	})
}

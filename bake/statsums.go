package bake

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"kiln/bake/template"
)

// settled is how old a file's last change must be when it is hashed for the
// hash to be remembered. A later change within one tick of the file system's
// clock would leave no trace: git calls such files racily clean. Some file
// systems count in steps of two seconds.
const settledAge = 2 * time.Second

// statSums remembers the hashes of a folder's files by what lstat said of them:
// size, inode and times. The time of the last change of the inode is not the
// user's to set. A file of which any of it differs is read again.
type statSums struct {
	cache *Cache
	entry string
	known map[string]statSum

	mu    sync.Mutex
	found map[string]statSum
	dirty bool // found differs from known
}

type statSum struct {
	dev, inode          uint64
	size, mtime, change int64
	sum                 [sha256.Size]byte
}

// statSums opens what is remembered of a folder.
func (c *Cache) statSums(folder string) *statSums {
	s := &statSums{cache: c, entry: key("file sums", folder), found: map[string]statSum{}}
	if data, ok := c.loadBytes("stats", s.entry); ok {
		s.known, _ = decodeSums(data) // what is not understood is read again
	}
	return s
}

// hashAll hashes regular files, several at once, and remembers the hashes. They
// are in hex, in the order of files; "" for what is no regular file.
func (s *statSums) hashAll(files []template.File) ([]string, error) {
	sums := make([]string, len(files))
	var group errgroup.Group
	group.SetLimit(min(runtime.GOMAXPROCS(0), 8))
	const batch = 64 // one goroutine for each of 100,000 files would cost more than it saves
	for at := 0; at < len(files); at += batch {
		group.Go(func() error {
			buf := make([]byte, 0)
			for i := at; i < min(at+batch, len(files)); i++ {
				if !files[i].Info.Mode().IsRegular() {
					continue
				}
				sum, err := s.hash(files[i], &buf)
				if err != nil {
					return err
				}
				sums[i] = sum
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return sums, s.keep()
}

// hash returns what is remembered, or reads the file with a buffer that is made
// when it is needed.
func (s *statSums) hash(f template.File, buf *[]byte) (string, error) {
	now := statOf(f)
	if old, ok := s.known[f.Rel]; ok {
		now.sum = old.sum
		if now == old {
			s.note(f.Rel, now)
			return hex.EncodeToString(old.sum[:]), nil
		}
	}
	began := time.Now()
	if len(*buf) == 0 {
		*buf = make([]byte, 64<<10)
	}
	sum, err := hashWith(f, *buf)
	if err != nil {
		return "", err
	}
	now.sum = sum
	if newest := max(now.change, now.mtime); newest < began.Add(-settledAge).UnixNano() {
		s.note(f.Rel, now)
	}
	return hex.EncodeToString(sum[:]), nil
}

func (s *statSums) note(rel string, now statSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found[rel] = now
	if old, ok := s.known[rel]; !ok || old != now {
		s.dirty = true
	}
}

// keep writes what was found if it is not what was known.
func (s *statSums) keep() error {
	if !s.dirty {
		return nil
	}
	return s.cache.saveBytes(seal(encodeSums(s.found), []string{"stats", s.entry}), "stats", s.entry)
}

// statOf is what lstat said of a file, without its hash.
func statOf(f template.File) statSum {
	st, ok := f.Info.Sys().(*syscall.Stat_t)
	if !ok {
		return statSum{change: time.Now().UnixNano()} // never settled
	}
	return statSum{
		dev: uint64(st.Dev), inode: st.Ino, size: st.Size,
		mtime: time.Unix(st.Mtim.Unix()).UnixNano(), change: time.Unix(st.Ctim.Unix()).UnixNano(),
	}
}

func hashWith(file template.File, buf []byte) (sum [sha256.Size]byte, err error) {
	f, err := file.Open()
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	// Hidden from CopyBuffer are the methods by which it would do without buf.
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{f}, buf); err != nil {
		return sum, err
	}
	h.Sum(sum[:0])
	return sum, nil
}

var errSums = errors.New("not a list of file sums")

// encodeSums writes sums in the order of their names: for each the name with its
// length, five numbers (uvarint and varint of encoding/binary), and the hash.
func encodeSums(list map[string]statSum) []byte {
	names := make([]string, 0, len(list))
	for name := range list {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []byte
	for _, name := range names {
		s := list[name]
		out = binary.AppendUvarint(out, uint64(len(name)))
		out = append(out, name...)
		out = binary.AppendUvarint(binary.AppendUvarint(out, s.dev), s.inode)
		for _, n := range []int64{s.size, s.mtime, s.change} {
			out = binary.AppendVarint(out, n)
		}
		out = append(out, s.sum[:]...)
	}
	return out
}

func decodeSums(data []byte) (map[string]statSum, error) {
	list := map[string]statSum{}
	bad := false
	uvarint := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			bad, n = true, 0
		}
		data = data[n:]
		return v
	}
	varint := func() int64 {
		v, n := binary.Varint(data)
		if n <= 0 {
			bad, n = true, 0
		}
		data = data[n:]
		return v
	}
	for len(data) > 0 {
		length := uvarint()
		if bad || length > uint64(len(data)) {
			return nil, errSums
		}
		name := string(data[:length])
		data = data[length:]
		s := statSum{dev: uvarint(), inode: uvarint(), size: varint(), mtime: varint(), change: varint()}
		if bad || copy(s.sum[:], data) < len(s.sum) {
			return nil, errSums
		}
		data = data[len(s.sum):]
		list[name] = s
	}
	return list, nil
}

package debian

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"sort"
	"time"
	"unicode/utf16"
)

// The format of a Java keystore of type JKS, version 2: a header, entries
// with the time of their creation, and the SHA-1 of password, salt and all
// before it. Debian's keystore of CA certificates has a well-known password.
const (
	jksMagic    = 0xfeedfeed
	jksSalt     = "Mighty Aphrodite"
	jksPassword = "changeit"
	jksTrusted  = 2
)

var errKeystore = errors.New("the Java keystore is damaged or holds more than certificates")

// normaliseKeystore sets the times of a keystore's certificates and sorts
// them by alias. What is no JKS keystore (PKCS 12 keeps no times of
// certificates), or has another password, stays as it is.
func normaliseKeystore(data []byte, at time.Time) ([]byte, error) {
	if len(data) < 12+sha1.Size || binary.BigEndian.Uint32(data) != jksMagic {
		return data, nil
	}
	body, digest := data[:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	if !bytes.Equal(jksDigest(body), digest) {
		return data, nil
	}
	if binary.BigEndian.Uint32(data[4:]) != 2 {
		return nil, errKeystore
	}
	entries, err := jksEntries(body[12:], int(binary.BigEndian.Uint32(data[8:])), at)
	if err != nil {
		return nil, err
	}
	out := append([]byte(nil), data[:12]...)
	for _, e := range entries {
		out = append(out, e.data...)
	}
	return append(out, jksDigest(out)...), nil
}

func jksDigest(body []byte) []byte {
	sum := sha1.New()
	for _, unit := range utf16.Encode([]rune(jksPassword)) {
		sum.Write([]byte{byte(unit >> 8), byte(unit)})
	}
	sum.Write([]byte(jksSalt))
	sum.Write(body)
	return sum.Sum(nil)
}

type jksEntry struct {
	alias string
	data  []byte
}

// jksEntries splits the entries, which must all be certificates: tag, alias,
// time in milliseconds, type, certificate.
func jksEntries(rest []byte, count int, at time.Time) ([]jksEntry, error) {
	var all []jksEntry
	for range count {
		r := jksReader{data: rest}
		tag := r.take(4)
		alias := string(r.counted(2))
		start := r.at
		r.take(8)
		r.counted(2)
		r.counted(4)
		if r.short || binary.BigEndian.Uint32(tag) != jksTrusted {
			return nil, errKeystore
		}
		entry := append([]byte(nil), rest[:r.at]...)
		binary.BigEndian.PutUint64(entry[start:], uint64(at.UnixMilli()))
		all = append(all, jksEntry{alias, entry})
		rest = rest[r.at:]
	}
	if len(rest) > 0 {
		return nil, errKeystore
	}
	sort.Slice(all, func(i, j int) bool { return all[i].alias < all[j].alias })
	return all, nil
}

// jksReader cuts fields from the front of data; short is set once there was
// too little.
type jksReader struct {
	data  []byte
	at    int
	short bool
}

func (r *jksReader) take(n int) []byte {
	if r.short || n < 0 || n > len(r.data)-r.at {
		r.short = true
		return make([]byte, 8)
	}
	r.at += n
	return r.data[r.at-n : r.at]
}

// counted takes a field that begins with its length, in 2 or 4 bytes.
func (r *jksReader) counted(width int) []byte {
	size := 0
	for _, b := range r.take(width)[:width] {
		size = size<<8 | int(b)
	}
	return r.take(size)
}

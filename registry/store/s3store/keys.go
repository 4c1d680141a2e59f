package s3store

import (
	"strings"
)

const (
	// pieceLength is the longest component that is kept as it is, in bytes:
	// some services keep keys as files, whose names end at 255.
	pieceLength = 240
	// pointerMark ends the key of a pointer; encodeKey writes no such byte.
	pointerMark = "!"
	escape      = '"'
	hexDigits   = "0123456789abcdef"
)

// encodeKey writes a key, or the beginning of one, as a service gets it. What
// is written for a byte depends on what stands before it only, and grows with
// it: so order and prefixes are kept.
func encodeKey(key string) string {
	var b strings.Builder
	b.Grow(len(key) + 8)
	piece := 0 // bytes written since the last slash
	for i := range len(key) {
		c := key[i]
		if piece >= pieceLength {
			piece = 0
			switch {
			case c < '/':
				b.WriteString("/0")
			case c == '/':
				b.WriteString("/1")
				continue
			default:
				b.WriteString("/2")
			}
		}
		if piece++; c == '/' {
			piece = 0
		}
		if c <= escape {
			b.WriteByte(escape)
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
			piece += 2
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// decodeKey reverses encodeKey; false for what it never wrote.
func decodeKey(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s))
	piece := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case piece >= pieceLength:
			if c != '/' || i+1 == len(s) {
				return "", false
			}
			if i++; s[i] == '1' {
				b.WriteByte('/')
			} else if s[i] != '0' && s[i] != '2' {
				return "", false
			}
			piece = 0
			continue
		case c == escape:
			if i+2 >= len(s) {
				return "", false
			}
			high, low := strings.IndexByte(hexDigits, s[i+1]), strings.IndexByte(hexDigits, s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c, i, piece = byte(high<<4|low), i+2, piece+2
		case c < escape:
			return "", false
		}
		if piece++; c == '/' {
			piece = 0
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// root is the prefix of everything in the bucket, with its slash.
func (o Options) root() string {
	if o.Prefix == "" {
		return ""
	}
	return o.Prefix + "/"
}

// objectKey is the key of an object, or of all whose keys begin with key.
func (s *Store) objectKey(key string) string { return s.root + encodeKey(key) }

// pointerKey is the key of a pointer.
func (s *Store) pointerKey(name string) string { return s.root + encodeKey(name) + pointerMark }

// tmpKey is the key of something that is ours alone: store.CheckKey keeps tmp
// for that.
func (s *Store) tmpKey(name string) string { return s.root + "tmp/" + name }

// parseKey tells what lies under a key of the bucket; false for what is
// neither an object nor a pointer.
func (s *Store) parseKey(key string) (name string, pointer, ok bool) {
	rest, ok := strings.CutPrefix(key, s.root)
	if !ok || strings.HasPrefix(rest, "tmp/") || strings.HasPrefix(rest, "locks/") {
		return "", false, false
	}
	rest, pointer = strings.CutSuffix(rest, pointerMark)
	name, ok = decodeKey(rest)
	return name, pointer, ok
}

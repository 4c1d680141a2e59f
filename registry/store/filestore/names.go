package filestore

import (
	"path/filepath"
	"strings"
)

const (
	// maxName keeps a component, with its suffix, under the 255 bytes that
	// file systems allow.
	maxName       = 200
	pointerSuffix = "%pointer"
	contSuffix    = "%+"
)

// kind is what a file is.
type kind int

const (
	kindObject kind = iota
	kindPointer
	kindFolder
	kindContinued // folder with the rest of a long component
)

// path is where the object or pointer key is.
func (s *Store) path(key string, k kind) string {
	if len(key) <= maxName && strings.IndexByte(key, '%') < 0 { // as nearly all are
		if k == kindPointer {
			return s.dir + string(filepath.Separator) + key + pointerSuffix
		}
		return s.dir + string(filepath.Separator) + key
	}
	var b strings.Builder
	b.WriteString(s.dir)
	for part := range strings.SplitSeq(key, "/") {
		b.WriteByte(filepath.Separator)
		for n := pieceLength(part); n < len(part); n = pieceLength(part) {
			b.WriteString(escape(part[:n]) + contSuffix + string(filepath.Separator))
			part = part[n:]
		}
		b.WriteString(escape(part))
	}
	if k == kindPointer {
		b.WriteString(pointerSuffix)
	}
	return b.String()
}

// pieceLength is how much of a component fits one name once it is escaped.
func pieceLength(part string) int {
	room := maxName
	for i := range len(part) {
		if room--; part[i] == '%' {
			room -= 2
		}
		if room < 0 {
			return i
		}
	}
	return len(part)
}

// escape writes the bytes of a component that mean something here.
func escape(part string) string { return strings.ReplaceAll(part, "%", "%25") }

// parseName reverses escape and tells what a directory entry is; ok is false
// for a name that this package does not write.
func parseName(name string, isDir bool) (part string, k kind, ok bool) {
	if isDir {
		k = kindFolder
		if rest, cont := strings.CutSuffix(name, contSuffix); cont {
			name, k = rest, kindContinued
		}
	} else if rest, ptr := strings.CutSuffix(name, pointerSuffix); ptr {
		name, k = rest, kindPointer
	}
	part = strings.ReplaceAll(name, "%25", "%")
	return part, k, escape(part) == name
}

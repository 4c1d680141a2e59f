// Package storetest is the suite that every store.Store and store.Pointers
// passes.
package storetest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"kiln/registry/store"
)

// Open returns an empty store. Each call is a new one.
type Open func(t *testing.T) (store.Store, store.Pointers)

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for _, c := range []struct {
		name string
		test func(*testing.T, store.Store, store.Pointers)
	}{
		{"objects", testObjects},
		{"ranges", testRanges},
		{"existing object is kept", testKept},
		{"aborted put leaves nothing", testAborted},
		{"cancelled put leaves nothing", testCancelled},
		{"racing puts", testRacingPuts},
		{"bad keys", testBadKeys},
		{"object order", testObjectOrder},
		{"object prefixes", testObjectPrefixes},
		{"folders", testFolders},
		{"list stops and errors", testListStops},
		{"delete while listing", testDeleteWhileListing},
		{"copy", testCopy},
		{"pointers", testPointers},
		{"pointer conflicts", testPointerConflicts},
		{"pointer of the same bytes again", testABA},
		{"pointer sizes", testPointerSizes},
		{"pointer order", testPointerOrder},
		{"pointers are no objects", testApart},
		{"racing creates", testRacingCreates},
		{"increments", testIncrements},
		{"racing deletes", testRacingDeletes},
		{"format", testFormat},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, p := open(t)
			c.test(t, s, p)
		})
	}
}

func put(t *testing.T, s store.Store, key, value string) {
	t.Helper()
	if err := s.Put(t.Context(), key, strings.NewReader(value)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s store.Store, key string) string {
	t.Helper()
	return getRange(t, s, key, 0, -1)
}

func getRange(t *testing.T, s store.Store, key string, offset, length int64) string {
	t.Helper()
	r, err := s.Open(t.Context(), key, offset, length)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func wantAbsent(t *testing.T, s store.Store, key string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("stat %s: got %v, want ErrNotFound", key, err)
	}
	if _, err := s.Open(t.Context(), key, 0, -1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("open %s: got %v, want ErrNotFound", key, err)
	}
}

func keys(t *testing.T, s store.Store, prefix, after string) []string {
	t.Helper()
	var got []string
	for info, err := range s.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, info.Key)
	}
	return got
}

func names(t *testing.T, p store.Pointers, prefix, after string) []string {
	t.Helper()
	var got []string
	for ptr, err := range p.List(t.Context(), prefix, after) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ptr.Value, []byte("value of "+ptr.Name)) {
			t.Errorf("%s lists with value %q", ptr.Name, ptr.Value)
		}
		got = append(got, ptr.Name)
	}
	return got
}

func swap(t *testing.T, p store.Pointers, old store.Pointer, value string) store.Pointer {
	t.Helper()
	next, err := p.Swap(t.Context(), old, []byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

package filestore

import (
	"path/filepath"
	"testing"

	"kiln/registry/store"
	"kiln/registry/store/storetest"
)

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, store.Pointers) {
		// The suite counts every pointer, so the format is taken away.
		s := mustOpen(t, filepath.Join(t.TempDir(), "not", "there", "yet"))
		p := s.Pointers()
		format, err := p.Load(t.Context(), store.FormatPointer)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Delete(t.Context(), format); err != nil {
			t.Fatal(err)
		}
		return s, p
	})
}

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

package contentstore_test

import (
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store/filestore"
)

func TestSuite(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Registry { return contentOf(openStore(t)) })
}

func openStore(t testing.TB) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// noon is when the tests' clock stands.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func contentOf(s *filestore.Store) *contentstore.Registry {
	return contentstore.New(s, s.Pointers(), contentstore.Options{Now: func() time.Time { return noon }})
}

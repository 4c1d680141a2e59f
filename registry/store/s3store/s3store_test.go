//go:build full

package s3store

import (
	"testing"
	"time"

	"kiln/registry/store"
	"kiln/registry/store/s3store/s3test"
	"kiln/registry/store/storetest"
)

// quick makes retries of tests short.
var quick = limits{attempts: 10, backoff: 5 * time.Millisecond, timeout: 5 * time.Second, part: 5 << 20, stale: 24 * time.Hour}

func openTest(t testing.TB, endpoint, bucket string, l limits) *Store {
	t.Helper()
	o, err := ParseLocation(s3test.Location(endpoint, bucket))
	if err != nil {
		t.Fatal(err)
	}
	o.Create = true
	s, err := open(t.Context(), o, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// bare is a store without a format: the suite wants an empty one.
func bare(t testing.TB, endpoint, bucket string, l limits) *Store {
	t.Helper()
	o, err := ParseLocation(s3test.Location(endpoint, bucket))
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStore(o, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	server := s3test.Start(t)
	storetest.Run(t, func(t *testing.T) (store.Store, store.Pointers) {
		s := bare(t, server.URL, server.Bucket(), quick)
		return s, s.Pointers()
	})
}

package ociclient_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/ociclient"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"
	"kiln/registry/store/filestore"
)

func TestSuite(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		s := httptest.NewServer(ociserver.New(newContent(t), ociserver.Options{MaxPage: 7}))
		t.Cleanup(s.Close)
		return newClient(t, s.URL)
	})
}

func newContent(t *testing.T) *contentstore.Registry {
	t.Helper()
	s, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return contentstore.New(s, s.Pointers(), contentstore.Options{})
}

func newClient(t *testing.T, endpoint string) *ociclient.Client {
	t.Helper()
	c, err := ociclient.New(endpoint, ociclient.Options{RetryWait: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

package ociserver_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/ociserver"
	"kiln/registry/store"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// rest is longer than a file must lie unchanged to be trusted.
const rest = 150 * time.Millisecond

// sent is a blob in a folder, behind a server, that was found right before: the
// kernel sends it where the connection lets it.
type sent struct {
	content []byte
	file    string
	url     string
	client  *http.Client
	check   func() // fails unless the next GET is sent unseen
}

func overTransports(t *testing.T, size int, test func(t *testing.T, s sent)) {
	for name, start := range map[string]func(*httptest.Server){
		"TCP":    (*httptest.Server).Start,
		"TLS":    (*httptest.Server).StartTLS,
		"HTTP/2": func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
			if err != nil {
				t.Fatal(err)
			}
			content := make([]byte, size)
			_, _ = rand.NewChaCha8([32]byte{}).Read(content)
			d := digest.FromBytes(content)
			r := contentstore.New(files, files.Pointers(), contentstore.Options{})
			if err := r.PushBlob(t.Context(), "acme/shop", ocispec.Descriptor{Digest: d, Size: -1}, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewUnstartedServer(ociserver.New(r, ociserver.Options{IdleTimeout: 2 * time.Second}))
			start(server)
			t.Cleanup(server.Close)
			s := sent{
				content: content, file: filepath.Join(files.Dir(), store.BlobKey(d)),
				url: server.URL + "/v2/acme/shop/blobs/" + string(d), client: server.Client(),
			}
			s.check = func() {
				t.Helper()
				rc, err := r.OpenBlob(t.Context(), "acme/shop", d, 0, -1)
				if err != nil {
					t.Fatal(err)
				}
				defer rc.Close()
				if _, ok := rc.(registry.CheckedBlob); !ok {
					t.Error("the blob is not sent unseen")
				}
			}
			time.Sleep(rest)
			if _, got, err := s.get(""); err != nil || !bytes.Equal(got, content) {
				t.Fatalf("first read: %d bytes, %v", len(got), err)
			}
			test(t, s)
		})
	}
}

func (s sent) get(part string) (int, []byte, error) {
	req, err := http.NewRequest("GET", s.url, nil)
	if err != nil {
		return 0, nil, err
	}
	if part != "" {
		req.Header.Set("Range", part)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, got, err
}

// TestSendfileRanges: whole or in parts, what the kernel sends is what was asked.
func TestSendfileRanges(t *testing.T) {
	const size = 5<<20 + 17 // more than goes out in one step
	overTransports(t, size, func(t *testing.T, s sent) {
		s.check()
		for _, c := range []struct {
			part        string
			status      int
			first, last int
		}{
			{"", 200, 0, size - 1},
			{"bytes=0-", 206, 0, size - 1},
			{"bytes=1-", 206, 1, size - 1},
			{"bytes=70000-4500000", 206, 70_000, 4_500_000},
			{"bytes=-100000", 206, size - 100_000, size - 1},
			{"bytes=10-19", 206, 10, 19},
			{fmt.Sprintf("bytes=%d-", size-1), 206, size - 1, size - 1},
		} {
			status, got, err := s.get(c.part)
			if err != nil || status != c.status || !bytes.Equal(got, s.content[c.first:c.last+1]) {
				t.Errorf("%q: %d, %d bytes, %v; want %d and %d bytes", c.part, status, len(got), err, c.status, c.last-c.first+1)
			}
		}
	})
}

// TestSendfileBroken: once a file that was found right is written to, or cut,
// it never arrives whole (FAULTS 11).
func TestSendfileBroken(t *testing.T) {
	for name, spoil := range map[string]func(s sent) error{
		"another byte": func(s sent) error {
			broken := bytes.Clone(s.content)
			broken[len(broken)/2] ^= 1
			return os.WriteFile(s.file, broken, 0o644)
		},
		"other bytes in its place": func(s sent) error {
			other := bytes.Clone(s.content)
			other[0] ^= 1
			if err := os.WriteFile(s.file+"x", other, 0o644); err != nil {
				return err
			}
			return os.Rename(s.file+"x", s.file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			overTransports(t, 300<<10, func(t *testing.T, s sent) {
				s.check()
				if err := spoil(s); err != nil {
					t.Fatal(err)
				}
				for range 2 { // at once, and when it has rested
					status, got, err := s.get("")
					if err == nil && status == http.StatusOK {
						t.Errorf("%d bytes arrive as if they were right", len(got))
					}
					if len(got) >= len(s.content) {
						t.Errorf("%d bytes of %d arrive", len(got), len(s.content))
					}
					time.Sleep(rest)
				}
			})
		})
	}
}

// TestSendfileSlowReader: a client that takes longer than the idle timeout for a
// blob, and never rests for so long, gets all of it.
func TestSendfileSlowReader(t *testing.T) {
	overTransports(t, 24<<20, func(t *testing.T, s sent) {
		s.check()
		resp, err := s.client.Get(s.url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got := make([]byte, 0, len(s.content))
		buf := make([]byte, 8<<20)
		for err == nil {
			time.Sleep(700 * time.Millisecond)
			var n int
			n, err = io.ReadFull(resp.Body, buf)
			got = append(got, buf[:n]...)
		}
		if err != io.EOF && err != io.ErrUnexpectedEOF || !bytes.Equal(got, s.content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

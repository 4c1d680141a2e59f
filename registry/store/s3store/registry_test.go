//go:build full

package s3store_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store/s3store"
	"kiln/registry/store/s3store/s3test"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func openStore(t *testing.T, location string, change ...func(*s3store.Options)) *s3store.Store {
	t.Helper()
	o, err := s3store.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	o.Create = true
	for _, f := range change {
		f(&o)
	}
	s, err := s3store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func contentOf(s *s3store.Store) *contentstore.Registry {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	return contentstore.New(s, s.Pointers(), contentstore.Options{Now: func() time.Time { return noon }})
}

func TestRegistry(t *testing.T) {
	server := s3test.Start(t)
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		return contentOf(openStore(t, server.Location(server.Bucket())))
	})
}

// TestURL: a presigned URL serves the object to anyone, for a while.
func TestURL(t *testing.T) {
	server := s3test.Start(t)
	s := openStore(t, server.Location(server.Bucket()))
	if err := s.Put(t.Context(), "blobs/a b", strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	fetch := func(url string) (int, string) {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(data)
	}
	url, err := s.URL(t.Context(), "blobs/a b", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if code, got := fetch(url); code != http.StatusOK || got != "content" {
		t.Errorf("%d: %s", code, got)
	}
	if code, _ := fetch(strings.Replace(url, "/blobs/", "/other/", 1)); code != http.StatusForbidden {
		t.Errorf("another object: %d, want 403", code)
	}
	if strings.Contains(url, "kiln-test-secret") {
		t.Errorf("the secret is in %s", url)
	}
	if url, err = s.URL(t.Context(), "blobs/a b", time.Second); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2100 * time.Millisecond)
	if code, _ := fetch(url); code != http.StatusForbidden {
		t.Errorf("after its lifetime: %d, want 403", code)
	}
}

// TestEncryptionHeaders: what is written asks for the encryption that the
// location names; parts and reads do not.
func TestEncryptionHeaders(t *testing.T) {
	server := s3test.Start(t)
	for sse, want := range map[string]string{"": "", "s3": "AES256", "kms": "aws:kms"} {
		var mu sync.Mutex
		seen := map[string]int{}
		proxy := s3test.NewProxy(t, server.URL)
		proxy.Script(func(r *http.Request) bool {
			if s3test.Put(r) && r.URL.RawQuery == "" || r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
				mu.Lock()
				seen[r.Header.Get("X-Amz-Server-Side-Encryption")+" "+r.Header.Get("X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id")]++
				mu.Unlock()
			}
			r.Header.Del("X-Amz-Server-Side-Encryption") // the test server has none
			return false
		}, s3test.Pass)
		location := s3test.Location(proxy.URL, server.Bucket())
		key := ""
		if sse == "kms" {
			key = "my-key"
		}
		o, err := s3store.ParseLocation(location)
		if err != nil {
			t.Fatal(err)
		}
		o.Encryption, o.KMSKey, o.Create = sse, key, true
		_, _ = s3store.Open(t.Context(), o) // refused where the header was signed; what was asked for counts
		for got := range seen {
			if got != want+" "+key {
				t.Errorf("sse=%s asks for %q", sse, got)
			}
		}
		if len(seen) != 1 {
			t.Errorf("sse=%s: %v", sse, seen)
		}
	}
}

// TestRoundTrips counts the requests to S3 behind each request to a registry;
// -v prints them. The bounds leave a little room.
func TestRoundTrips(t *testing.T) {
	server := s3test.Start(t)
	proxy := s3test.NewProxy(t, server.URL)
	s := openStore(t, s3test.Location(proxy.URL, server.Bucket()))
	r := contentOf(s)
	registrytest.PushImage(t, r, "acme/warm", "warm", []string{"latest"}) // the probe
	time.Sleep(100 * time.Millisecond)                                    // and the sweep
	const repo = "acme/shop"
	count := func(what string, most int, do func()) {
		proxy.Count()
		do()
		log := proxy.Log()
		n := proxy.Count()
		t.Logf("%-40s %2d", what, n)
		if n > most {
			t.Errorf("%s takes %d round trips, want at most %d:\n%s", what, n, most, strings.Join(log, "\n"))
		}
	}
	small, large := "small", strings.Repeat("x", 20<<20)
	count("push of a small blob", 8, func() { registrytest.PushBlob(t, r, repo, "", small) })
	count("push of one that another image has", 8, func() { registrytest.PushBlob(t, r, "acme/other", "", small) })
	count("push of one that is there", 7, func() { registrytest.PushBlob(t, r, repo, "", small) })
	count("push of 20 MiB (3 parts)", 13, func() { registrytest.PushBlob(t, r, repo, "", large) })
	d := registrytest.PushBlob(t, r, repo, "", small).Digest
	count("mount", 9, func() {
		if _, err := r.MountBlob(t.Context(), repo, "acme/third", d); err != nil {
			t.Fatal(err)
		}
	})
	count("HEAD of a blob", 4, func() {
		if _, err := r.StatBlob(t.Context(), repo, d); err != nil {
			t.Fatal(err)
		}
	})
	count("GET of a blob", 5, func() {
		rc, err := r.OpenBlob(t.Context(), repo, d, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		if _, err := io.Copy(io.Discard, rc); err != nil {
			t.Fatal(err)
		}
	})
	registrytest.PushImage(t, r, repo, small, nil)
	count("PUT of a manifest with 2 blobs by tag", 24, func() {
		registrytest.PushImage(t, noBlobs{r}, repo, small, []string{"latest"})
	})
	count("PUT of it by a version tag", 30, func() {
		registrytest.PushImage(t, noBlobs{r}, repo, small, []string{"20260101T000000Z-0123456789ab"})
	})
	tagged, err := r.Tag(t.Context(), repo, "latest")
	if err != nil {
		t.Fatal(err)
	}
	count("HEAD of a manifest by tag", 4, func() {
		if _, err := r.Tag(t.Context(), repo, "latest"); err != nil {
			t.Fatal(err)
		}
	})
	count("GET of a manifest by digest", 4, func() {
		if _, _, err := r.Manifest(t.Context(), repo, tagged.Digest); err != nil {
			t.Fatal(err)
		}
	})
	count("GET of a manifest by tag", 3, func() {
		if _, _, err := r.ManifestByTag(t.Context(), repo, "latest"); err != nil {
			t.Fatal(err)
		}
	})
	count("list of 2 tags", 5, func() {
		for _, err := range r.Tags(t.Context(), repo, "") {
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// noBlobs leaves the blobs of an image out: they are there.
type noBlobs struct{ *contentstore.Registry }

// PushBlob implements registry.Writer.
func (noBlobs) PushBlob(context.Context, string, ocispec.Descriptor, io.Reader) error { return nil }

// TestMemory: many large uploads at once take little memory.
func TestMemory(t *testing.T) {
	server := s3test.Start(t)
	s := openStore(t, server.Location(server.Bucket()))
	done := make(chan struct{})
	peak := make(chan uint64)
	go func() {
		var most uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse+m.StackInuse)
			select {
			case <-done:
				peak <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	const uploads, size = 8, 26 << 20
	var wg sync.WaitGroup
	for i := range uploads {
		wg.Go(func() {
			r := io.LimitReader(zeros{}, size)
			if err := s.Put(t.Context(), fmt.Sprintf("blobs/%d", i), r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(done)
	most := <-peak
	t.Logf("%d uploads of %d MiB at once: %d MiB", uploads, size>>20, most>>20)
	if most > 90<<20 {
		t.Errorf("%d MiB of memory, want at most 90", most>>20)
	}
	if info, err := s.Stat(t.Context(), "blobs/0"); err != nil || info.Size != size {
		t.Errorf("%+v, %v", info, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

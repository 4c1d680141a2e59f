package s3store

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry/store"
)

// fake is a service that keeps objects in memory, more or less well.
type fake struct {
	mu      sync.Mutex
	objects map[string][]byte
	check   func(f *fake, r *http.Request) bool // of conditions
	gap     time.Duration                       // between check and write
	etag    func(data []byte) string
	writes  int
}

func md5ETag(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func (f *fake) holds(r *http.Request) bool {
	data, there := f.objects[r.URL.Path]
	if r.Header.Get("If-None-Match") == "*" && there {
		return false
	}
	want := strings.Trim(r.Header.Get("If-Match"), `"`)
	return want == "" || there && f.etag(data) == want
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		if !f.check(f, r) {
			answer(w, http.StatusPreconditionFailed, "PreconditionFailed")
			return
		}
		if f.gap > 0 {
			f.mu.Unlock()
			time.Sleep(f.gap)
			f.mu.Lock()
		}
		f.writes++
		f.objects[r.URL.Path] = body
		w.Header().Set("ETag", `"`+f.etag(body)+`"`)
	case http.MethodDelete:
		delete(f.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	default:
		data, ok := f.objects[r.URL.Path]
		if !ok {
			answer(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", `"`+f.etag(data)+`"`)
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		w.Write(data)
	}
}

func answer(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", code)
}

// TestProbe: a service that gets conditional writes wrong is refused before
// anything of the store is written.
func TestProbe(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	header := func(name string) func(*fake, *http.Request) bool {
		return func(f *fake, r *http.Request) bool {
			r.Header.Del(name)
			return f.holds(r)
		}
	}
	for _, c := range []struct {
		name, want string
		check      func(*fake, *http.Request) bool
		etag       func([]byte) string
		gap        time.Duration
	}{
		{"ignores all conditions", "of 4 creates at once 4 won", func(*fake, *http.Request) bool { return true }, md5ETag, 0},
		{"ignores If-None-Match", "of 4 creates at once 4 won", header("If-None-Match"), md5ETag, 0},
		{"ignores If-Match", "of 4 swaps at once 4 won", header("If-Match"), md5ETag, 0},
		{"looks, then writes", "at once", (*fake).holds, md5ETag, 50 * time.Millisecond},
		{"one ETag for all", "swaps at once 4 won", (*fake).holds, func([]byte) string { return "same" }, 0},
		{"refuses all conditions", "of 4 creates at once 0 won", func(*fake, *http.Request) bool { return false }, md5ETag, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fake{objects: map[string][]byte{}, etag: c.etag, check: c.check, gap: c.gap}
			s := fakeStore(t, f)
			err := s.Put(t.Context(), "images/x", strings.NewReader("x"))
			if !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to say %q", err, c.want)
			}
			if _, err := s.Pointers().Swap(t.Context(), store.Absent("format"), nil); !errors.Is(err, ErrUnfit) {
				t.Errorf("swap: got %v", err)
			}
			for path := range f.objects {
				if !strings.Contains(path, "/tmp/") {
					t.Errorf("%s was written", path)
				}
			}
		})
	}
	t.Run("keeps them", func(t *testing.T) {
		f := &fake{objects: map[string][]byte{}, etag: md5ETag, check: (*fake).holds}
		s := fakeStore(t, f)
		for _, key := range []string{"images/x", "images/y"} {
			if err := s.Put(t.Context(), key, strings.NewReader("x")); err != nil {
				t.Fatal(err)
			}
		}
		if f.writes != 4 { // one of each race, and the objects
			t.Errorf("%d writes: the probe runs once", f.writes)
		}
	})
}

func fakeStore(t *testing.T, f *fake) *Store {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	s, err := newStore(Options{Bucket: "bucket", Prefix: "p", Endpoint: server.URL}, limits{attempts: 2, backoff: time.Millisecond, timeout: time.Second, part: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

//go:build full

package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"kiln/registry/store"
	"kiln/registry/store/s3store/s3test"
	"kiln/registry/store/storetest"

	"github.com/minio/minio-go/v7"
)

// TestMain: the client sleeps up to 200 ms after a failure that it does not
// try again itself.
func TestMain(m *testing.M) {
	minio.DefaultRetryUnit = time.Millisecond
	os.Exit(m.Run())
}

// impatient gives up on a silent service early.
var impatient = limits{attempts: 8, backoff: 5 * time.Millisecond, timeout: 400 * time.Millisecond, part: 5 << 20, stale: 24 * time.Hour}

// withProxy is a store that was probed, behind a proxy, and the same store
// without.
func withProxy(t *testing.T, l limits) (proxy *s3test.Proxy, s, direct *Store) {
	t.Helper()
	server := s3test.Start(t)
	bucket := server.Bucket()
	proxy = s3test.NewProxy(t, server.URL)
	s, direct = openTest(t, proxy.URL, bucket, l), openTest(t, server.URL, bucket, quick)
	for _, s := range []*Store{s, direct} {
		if err := s.write(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.sweep.Wait()
	}
	return proxy, s, direct
}

// TestSuiteWithFaults: the whole suite, 8 writers x 50 increments among it,
// while one request in 25 meets a fault (FAULTS 42).
func TestSuiteWithFaults(t *testing.T) {
	server := s3test.Start(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	storetest.Run(t, func(t *testing.T) (store.Store, store.Pointers) {
		proxy := s3test.NewProxy(t, server.URL)
		proxy.Random(seed, 0.04, s3test.SlowDown, s3test.Conflict, s3test.ResetBefore, s3test.ResetAfter, s3test.ErrorAfter, s3test.HalfAnswer, s3test.Slow)
		s := bare(t, proxy.URL, server.Bucket(), quick)
		return s, s.Pointers()
	})
}

var everyFault = map[string]s3test.Fault{
	"409": s3test.Conflict, "412 without reason": s3test.Refuse, "503": s3test.SlowDown, "reset before": s3test.ResetBefore,
	"reset after": s3test.ResetAfter, "500 after": s3test.ErrorAfter, "timeout after": s3test.HangAfter, "half an answer": s3test.HalfAnswer,
}

// TestSwapFaults: each fault at each of a create, a swap, a delete and a
// create over the tombstone. Each takes effect once (FAULTS 42).
func TestSwapFaults(t *testing.T) {
	proxy, s, direct := withProxy(t, impatient)
	p := s.Pointers()
	for what, fault := range everyFault {
		t.Run(what, func(t *testing.T) {
			name := "images/a/tags/" + strings.ReplaceAll(what, " ", "-")
			old := store.Absent(name)
			for i, value := range []string{"one", "two", "", "three"} {
				proxy.Script(s3test.Conditional, fault)
				var err error
				if value == "" {
					err, old = p.Delete(t.Context(), old), store.Absent(name)
				} else {
					old, err = p.Swap(t.Context(), old, []byte(value))
				}
				if err != nil {
					t.Fatalf("step %d: %v", i, err)
				}
				now, err := direct.Pointers().Load(t.Context(), name)
				if string(now.Value) != value || (value == "") != errors.Is(err, store.ErrNotFound) {
					t.Fatalf("step %d: %q, %v", i, now.Value, err)
				}
			}
			if n := proxy.Pending(); n != 0 {
				t.Errorf("%d faults did not strike", n)
			}
		})
	}
}

// TestLostAnswerThenAnother: the swap happened, its answer was lost, and before
// we look another comes after it. That is a success, not a conflict: else the
// caller would do it twice (FAULTS 42).
func TestLostAnswerThenAnother(t *testing.T) {
	for _, others := range []int{1, history - 1, history} {
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			proxy, s, direct := withProxy(t, defaults)
			one, err := direct.Pointers().Swap(t.Context(), store.Absent("p"), []byte("0"))
			if err != nil {
				t.Fatal(err)
			}
			proxy.Script(s3test.Conditional, s3test.HangAfter)
			type answer struct {
				ptr store.Pointer
				err error
			}
			done := make(chan answer, 1)
			go func() {
				ptr, err := s.Pointers().Swap(t.Context(), one, []byte("1"))
				done <- answer{ptr, err}
			}()
			now := one
			for string(now.Value) != "1" {
				time.Sleep(5 * time.Millisecond)
				if now, err = direct.Pointers().Load(t.Context(), "p"); err != nil {
					t.Fatal(err)
				}
			}
			for i := range others {
				if now, err = direct.Pointers().Swap(t.Context(), now, fmt.Append(nil, i+2)); err != nil {
					t.Fatal(err)
				}
			}
			proxy.Release()
			a := <-done
			if others >= history {
				if a.err == nil || errors.Is(a.err, store.ErrConflict) {
					t.Fatalf("got %v: nobody can know", a.err)
				}
				return
			}
			if a.err != nil {
				t.Fatal(a.err)
			}
			if _, err := s.Pointers().Swap(t.Context(), a.ptr, []byte("x")); !errors.Is(err, store.ErrConflict) {
				t.Errorf("swap from what was swapped away: %v", err)
			}
		})
	}
}

// TestFaultThenConflict: whatever happens to the request, a pointer that moved
// is a conflict and stays as it is.
func TestFaultThenConflict(t *testing.T) {
	proxy, s, direct := withProxy(t, impatient)
	for what, fault := range everyFault {
		name := "images/a/tags/" + strings.ReplaceAll(what, " ", "-")
		theirs, err := direct.Pointers().Swap(t.Context(), store.Absent(name), []byte("theirs"))
		if err != nil {
			t.Fatal(err)
		}
		for _, old := range []store.Pointer{store.Absent(name), {Name: name, Revision: revision{"0123", nonces(1)}.String()}} {
			proxy.Script(s3test.Conditional, fault)
			if _, err := s.Pointers().Swap(t.Context(), old, []byte("ours")); !errors.Is(err, store.ErrConflict) {
				t.Errorf("%s: got %v, want ErrConflict", what, err)
			}
		}
		if now, err := direct.Pointers().Load(t.Context(), name); err != nil || now.Revision != theirs.Revision {
			t.Errorf("%s: %q, %v", what, now.Value, err)
		}
	}
}

func random(seed uint64, size int) []byte {
	data := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// uploads lists the multipart uploads of the bucket.
func uploads(t *testing.T, s *Store) int {
	t.Helper()
	page, err := s.api.ListMultipartUploads(t.Context(), s.bucket, "", "", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Uploads)
}

// TestPutFaults: objects of one request and of parts, each fault at each kind
// of request of theirs, are whole in the end and leave nothing (FAULTS 42).
func TestPutFaults(t *testing.T) {
	l := impatient
	l.timeout = time.Second
	proxy, s, direct := withProxy(t, l)
	steps := map[string]func(*http.Request) bool{
		"whole":    func(r *http.Request) bool { return s3test.Put(r) && r.URL.RawQuery == "" },
		"part":     func(r *http.Request) bool { return s3test.Put(r) && strings.Contains(r.URL.RawQuery, "partNumber=2") },
		"begin":    func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploads") },
		"complete": func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Query().Has("uploadId") },
	}
	for step, match := range steps {
		for what, fault := range everyFault {
			if fault == s3test.Refuse {
				continue // for an object that means that it is there
			}
			size := 6 << 20
			if step == "whole" {
				size = 300_000
			}
			data := random(1, size)
			key := "blobs/" + step + "/" + strings.ReplaceAll(what, " ", "-")
			proxy.Script(match, fault)
			if err := s.Put(t.Context(), key, bytes.NewReader(data)); err != nil {
				t.Errorf("%s, %s: %v", step, what, err)
				continue
			}
			if n := proxy.Pending(); n != 0 {
				t.Fatalf("%s, %s: the fault did not strike", step, what)
			}
			if got := read(t, direct, key); !bytes.Equal(got, data) {
				t.Errorf("%s, %s: %d bytes of %d, or others", step, what, len(got), len(data))
			}
		}
	}
	lost := 4 // answers that said which upload had begun: sweep finds those
	if n := uploads(t, direct); n > lost {
		t.Errorf("%d uploads are left, want at most %d", n, lost)
	}
}

func read(t *testing.T, s *Store, key string) []byte {
	t.Helper()
	rc, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestInterruptedUpload: an upload in parts that ends early leaves neither
// object nor parts, whoever ends it (FAULTS 42).
func TestInterruptedUpload(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket()
	s := openTest(t, server.URL, bucket, quick)
	ctx, cancel := context.WithCancel(t.Context())
	for what, c := range map[string]struct {
		ctx context.Context
		end io.Reader
	}{
		"the reader breaks":       {t.Context(), iotest.ErrReader(io.ErrUnexpectedEOF)},
		"the caller is cancelled": {ctx, iotest.DataErrReader(readerFunc(func([]byte) (int, error) { cancel(); return 0, io.ErrNoProgress }))},
	} {
		if err := s.Put(c.ctx, "blobs/x", io.MultiReader(bytes.NewReader(random(2, 12<<20)), c.end)); err == nil {
			t.Errorf("%s: stored", what)
		}
		if _, err := s.Stat(t.Context(), "blobs/x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if n := uploads(t, s); n != 0 {
			t.Errorf("%s: %d uploads are left", what, n)
		}
	}
	up, err := s.begin(t.Context(), s.objectKey("blobs/dead"))
	if err != nil {
		t.Fatal(err)
	}
	if err := up.sendPart(t.Context(), 1, memoryPart(random(3, 5<<20), false, func() {})); err != nil {
		t.Fatal(err)
	}
	later := quick
	for _, stale := range []time.Duration{time.Hour, -time.Hour} { // of a day's sweeps the first is too early
		later.stale = stale
		next := openTest(t, server.URL, bucket, later)
		if err := next.write(t.Context()); err != nil {
			t.Fatal(err)
		}
		next.sweep.Wait()
		if n := uploads(t, s); (n == 1) != (stale > 0) {
			t.Errorf("after a sweep of what is older than %v: %d uploads", stale, n)
		}
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestReadFaults: reads go on where they broke.
func TestReadFaults(t *testing.T) {
	proxy, s, direct := withProxy(t, impatient)
	data := random(4, 3<<20)
	if err := direct.Put(t.Context(), "blobs/x", bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	for what, fault := range everyFault {
		if fault == s3test.Refuse {
			continue // no service refuses a read without condition
		}
		proxy.Script(s3test.Get, fault, fault)
		if got := read(t, s, "blobs/x"); !bytes.Equal(got, data) {
			t.Errorf("%s: read %d bytes of %d, or others", what, len(got), len(data))
		}
		proxy.Script(s3test.Head, fault)
		if info, err := s.Stat(t.Context(), "blobs/x"); err != nil || info.Size != int64(len(data)) {
			t.Errorf("%s: stat %v, %v", what, info, err)
		}
		proxy.Script(s3test.Get, fault)
		n := 0
		for _, err := range s.List(t.Context(), "blobs/", "") {
			if err != nil {
				t.Errorf("%s: list: %v", what, err)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%s: %d objects", what, n)
		}
		if proxy.Pending() != 0 {
			t.Errorf("%s: %d faults did not strike", what, proxy.Pending())
		}
	}
}

// TestServiceGone: retries end, and say what to look at.
func TestServiceGone(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "a")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "b")
	o := Options{Bucket: "bucket", Endpoint: "http://127.0.0.1:1"}
	start := time.Now()
	var e *AccessError
	if _, err := open(t.Context(), o, impatient); !errors.As(err, &e) || !strings.Contains(e.Advice, "endpoint") {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestAccess: what a wrong call gets to hear.
func TestAccess(t *testing.T) {
	server := s3test.Start(t)
	bucket := server.Bucket()
	for what, c := range map[string]struct {
		bucket, key, secret, want string
	}{
		"no bucket":      {"there-is-none", "", "", "no such bucket"},
		"unknown key":    {bucket, "nobody", "x", "does not know the access key"},
		"wrong secret":   {bucket, "", "wrong", "secret key is not that"},
		"no credentials": {bucket, "none", "", "there are no credentials"},
	} {
		t.Run(what, func(t *testing.T) {
			if c.key == "none" {
				t.Setenv("AWS_ACCESS_KEY_ID", "")
				t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
				t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
				t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			} else if c.key != "" {
				t.Setenv("AWS_ACCESS_KEY_ID", c.key)
			}
			if c.secret != "" {
				t.Setenv("AWS_SECRET_ACCESS_KEY", c.secret)
			}
			o, err := ParseLocation(server.Location(c.bucket))
			if err != nil {
				t.Fatal(err)
			}
			var e *AccessError
			if _, err := Open(t.Context(), o); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || e.Advice == "" {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	o, err := ParseLocation(server.Location(bucket))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an empty bucket: %v, want ErrNotFound", err)
	}
}

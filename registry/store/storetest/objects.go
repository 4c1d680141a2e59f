package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"kiln/registry/store"
)

func testObjects(t *testing.T, s store.Store, _ store.Pointers) {
	wantAbsent(t, s, "a/b")
	wantAbsent(t, s, "a")
	before := time.Now().Add(-time.Minute)
	for key, value := range map[string]string{"a/b": "one", "empty": "", "c": strings.Repeat("0123456789", 300_000)} {
		put(t, s, key, value)
		if got := get(t, s, key); got != value {
			t.Errorf("%s: got %d bytes, want %d", key, len(got), len(value))
		}
		info, err := s.Stat(t.Context(), key)
		if err != nil || info.Key != key || info.Size != int64(len(value)) || info.ModTime.Before(before) {
			t.Errorf("stat %s: %+v, %v", key, info, err)
		}
	}
	wantAbsent(t, s, "a")
	wantAbsent(t, s, "c/d")
	for range 2 { // an absent one is fine
		if err := s.Delete(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
	}
	wantAbsent(t, s, "a/b")
	if err := s.Delete(t.Context(), "never/was"); err != nil {
		t.Fatal(err)
	}
	put(t, s, "a/b", "again")
	if got := get(t, s, "a/b"); got != "again" {
		t.Errorf("after delete and put: %q", got)
	}
}

func testRanges(t *testing.T, s store.Store, _ store.Pointers) {
	put(t, s, "k", "0123456789")
	put(t, s, "empty", "")
	for _, c := range []struct {
		key            string
		offset, length int64
		want           string
	}{
		{"k", 0, -1, "0123456789"}, {"k", 3, -1, "3456789"}, {"k", 3, 4, "3456"}, {"k", 0, 0, ""},
		{"k", 9, 5, "9"}, {"k", 10, -1, ""}, {"k", 99, -1, ""}, {"k", 99, 5, ""},
		{"empty", 0, -1, ""}, {"empty", 0, 5, ""}, {"empty", 5, -1, ""},
	} {
		if got := getRange(t, s, c.key, c.offset, c.length); got != c.want {
			t.Errorf("%s from %d, %d bytes: got %q, want %q", c.key, c.offset, c.length, got, c.want)
		}
	}
}

func testKept(t *testing.T, s store.Store, _ store.Pointers) {
	put(t, s, "k", "first")
	put(t, s, "k", "second")
	if got := get(t, s, "k"); got != "first" {
		t.Errorf("got %q, want the first", got)
	}
}

func testAborted(t *testing.T, s store.Store, _ store.Pointers) {
	cause := errors.New("the reader broke")
	for _, body := range []io.Reader{
		iotest.ErrReader(cause),
		io.MultiReader(strings.NewReader("some"), iotest.ErrReader(cause)),
		io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), iotest.ErrReader(cause)),
	} {
		if err := s.Put(t.Context(), "dir/k", body); !errors.Is(err, cause) {
			t.Errorf("put: got %v, want the reader's error", err)
		}
		wantAbsent(t, s, "dir/k")
		if got := keys(t, s, "", ""); len(got) != 0 {
			t.Errorf("left %q", got)
		}
	}
	put(t, s, "dir/k", "whole")
}

func testCancelled(t *testing.T, s store.Store, _ store.Pointers) {
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(bytes.NewReader(make([]byte, 6<<20)), readerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil // endless
	}))
	if err := s.Put(ctx, "k", body); !errors.Is(err, context.Canceled) {
		t.Errorf("put: got %v, want context.Canceled", err)
	}
	wantAbsent(t, s, "k")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testRacingPuts: whatever a Put acknowledges is there, whole, and stays.
func testRacingPuts(t *testing.T, s store.Store, _ store.Pointers) {
	const writers = 8
	seen := make([]string, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			value := strings.Repeat(string(rune('a'+w)), 200_000)
			if err := s.Put(t.Context(), "race/k", strings.NewReader(value)); err != nil {
				t.Error(err)
				return
			}
			r, err := s.Open(t.Context(), "race/k", 0, -1)
			if err != nil {
				t.Error(err)
				return
			}
			defer r.Close()
			data, err := io.ReadAll(r)
			if err != nil || len(data) != len(value) {
				t.Errorf("read %d bytes, %v", len(data), err)
			}
			seen[w] = string(data)
		})
	}
	wg.Wait()
	for w := range seen {
		if seen[w] != seen[0] || strings.Trim(seen[w], seen[w][:1]) != "" {
			t.Fatalf("writer %d sees another object than writer 0", w)
		}
	}
}

var badKeys = []string{
	"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/.", "a/..", "\xff", "a\x00b",
	strings.Repeat("x", store.MaxKeyLength+1), "tmp/a", "locks/a", "tmp", "locks",
}

func testBadKeys(t *testing.T, s store.Store, p store.Pointers) {
	for _, key := range badKeys {
		_, statErr := s.Stat(t.Context(), key)
		_, openErr := s.Open(t.Context(), key, 0, -1)
		_, loadErr := p.Load(t.Context(), key)
		_, swapErr := p.Swap(t.Context(), store.Absent(key), []byte("x"))
		for op, err := range map[string]error{
			"put": s.Put(t.Context(), key, strings.NewReader("x")), "stat": statErr, "open": openErr,
			"delete": s.Delete(t.Context(), key), "load": loadErr, "swap": swapErr,
			"delete pointer": p.Delete(t.Context(), store.Absent(key)),
		} {
			if !errors.Is(err, store.ErrInvalidKey) {
				t.Errorf("%s %.40q: got %v, want ErrInvalidKey", op, key, err)
			}
		}
	}
	if got := keys(t, s, "", ""); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}

// trickyKeys are in byte order, which is not the order of a walk by folders.
func trickyKeys() []string {
	long := strings.Repeat("n", 199)
	keys := []string{
		"%", "%pointer", "a-b", "a-b/c", "a.b", "a/-", "a/b%+/c", "a/b%25", "a/b-c/d", "a/b.c", "a/b/c", "a/b/d", "a/b0", "a/z", "a0", "a~b/x",
		"images/a-b/tags/x", "images/a/tags/x", "images/a~b/tags/x", "x.pointer", "x=",
		long + "n-/k", long + "n/k", long + "nn", long + "nn-x", long + "nnn/k", long + strings.Repeat("m", 600), strings.Repeat("%", 500),
		"x/tmp/y", "x/locks/y", "é/ü", "\u007f", "with space", "back\\slash", "UPPER", "upper", strings.Repeat("y", store.MaxKeyLength),
	}
	slices.Sort(keys)
	return slices.DeleteFunc(keys, func(k string) bool { return k == "a-b" }) // it would be another's folder
}

func testObjectOrder(t *testing.T, s store.Store, _ store.Pointers) {
	want := trickyKeys()
	for _, i := range scattered(len(want)) {
		put(t, s, want[i], want[i])
	}
	checkOrder(t, want, func(prefix, after string) []string { return keys(t, s, prefix, after) })
	for _, k := range want {
		if got := get(t, s, k); got != k {
			t.Errorf("%.40q holds %.40q", k, got)
		}
	}
}

// scattered visits 0..n-1 in some other order.
func scattered(n int) []int {
	var order []int
	for i := range n {
		order = append(order, (i*7+3)%n)
	}
	slices.Sort(order)
	order = slices.Compact(order)
	if len(order) != n { // 7 divides n
		order = order[:0]
		for i := range n {
			order = append(order, i)
		}
	}
	slices.Reverse(order)
	return order
}

// checkOrder lists with every key and every part of one as prefix and after.
func checkOrder(t *testing.T, want []string, list func(prefix, after string) []string) {
	t.Helper()
	probes := []string{"", "a", "a/", "a/b", "a/b-", "b", "images/", "images/a", "images/a/", "n", "x/", "zzz", "/", "..", "a//"}
	for _, k := range want {
		probes = append(probes, k, k[:len(k)/2], k+"0")
	}
	for _, probe := range probes {
		check(t, want, probe, "", list)
		check(t, want, "", probe, list)
		check(t, want, "a/", probe, list)
	}
}

func check(t *testing.T, all []string, prefix, after string, list func(prefix, after string) []string) {
	t.Helper()
	var want []string
	for _, k := range all {
		if strings.HasPrefix(k, prefix) && k > after {
			want = append(want, k)
		}
	}
	if got := list(prefix, after); !slices.Equal(got, want) {
		t.Errorf("list %.30q after %.30q:\n got %.60q\nwant %.60q", prefix, after, got, want)
	}
}

// testObjectPrefixes: a name that is the start of another hides nothing.
func testObjectPrefixes(t *testing.T, s store.Store, _ store.Pointers) {
	want := []string{"r/app-x/1", "r/app/1", "r/app/2", "r/app2/1", "r/apple/1"}
	for _, k := range want {
		put(t, s, k, k)
	}
	checkOrder(t, want, func(prefix, after string) []string { return keys(t, s, prefix, after) })
}

// testFolders tries the store's own way, if it has one, and the one that does
// with List.
func testFolders(t *testing.T, s store.Store, _ store.Pointers) {
	long := strings.Repeat("n", 300)
	for _, k := range []string{"r/a-b/1", "r/a/1", "r/a/2/3", "r/ab/1", "r/file", "r/%/x", "r/" + long + "/x", "ra/x", "other/x"} {
		put(t, s, k, k)
	}
	want := []string{"%", "a", "a-b", "ab", long}
	for _, way := range []store.Store{s, struct{ store.Store }{s}} {
		var got []string
		for name, err := range store.Folders(t.Context(), way, "r/") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, name)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("folders %.30q, want %.30q", got, want)
		}
		for name := range store.Folders(t.Context(), way, "nothing/") {
			t.Errorf("folder %q in nothing", name)
		}
	}
}

func testListStops(t *testing.T, s store.Store, _ store.Pointers) {
	for _, k := range []string{"a/1", "a/2", "b"} {
		put(t, s, k, k)
	}
	n := 0
	for range s.List(t.Context(), "", "") {
		n++
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n = 0
	for _, err := range s.List(ctx, "", "") {
		if n++; !errors.Is(err, context.Canceled) {
			t.Errorf("list with an ended context: %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d results after the end of the context, want one error", n)
	}
}

func testDeleteWhileListing(t *testing.T, s store.Store, _ store.Pointers) {
	for _, k := range []string{"d/1", "d/2", "d/3", "e/1"} {
		put(t, s, k, k)
	}
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), info.Key); err != nil {
			t.Fatal(err)
		}
	}
	if got := keys(t, s, "", ""); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}

func testCopy(t *testing.T, s store.Store, _ store.Pointers) {
	c, ok := s.(store.Copier)
	if !ok {
		return // it is an offer
	}
	put(t, s, "from/k", "value")
	put(t, s, "taken", "other")
	for _, to := range []string{"to/k", "to/k", "taken"} {
		if err := c.Copy(t.Context(), "from/k", to); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Copy(t.Context(), "absent", "x"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("copy of nothing: %v", err)
	}
	if err := s.Delete(t.Context(), "from/k"); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "to/k") + get(t, s, "taken"); got != "valueother" {
		t.Errorf("got %q", got)
	}
}

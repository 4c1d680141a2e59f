package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kiln/registry/store"
)

func testPointers(t *testing.T, _ store.Store, p store.Pointers) {
	const name = "images/a/tags/x"
	if _, err := p.Load(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("load: got %v, want ErrNotFound", err)
	}
	one := swap(t, p, store.Absent(name), "one")
	if !one.Exists() || one.Name != name || string(one.Value) != "one" {
		t.Fatalf("created %+v", one)
	}
	two := swap(t, p, one, "two")
	got, err := p.Load(t.Context(), name)
	if err != nil || got.Revision != two.Revision || string(got.Value) != "two" || got.Name != name {
		t.Fatalf("loaded %+v, %v", got, err)
	}
	if err := p.Delete(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Load(t.Context(), name); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("load after delete: %v", err)
	}
	if got := names(t, p, "", ""); len(got) != 0 {
		t.Fatalf("a deleted pointer lists: %q", got)
	}
	swap(t, p, store.Absent(name), "")
	if got, err := p.Load(t.Context(), name); err != nil || len(got.Value) != 0 || !got.Exists() {
		t.Fatalf("created again, empty: %+v, %v", got, err)
	}
}

func testPointerConflicts(t *testing.T, _ store.Store, p store.Pointers) {
	one := swap(t, p, store.Absent("p"), "one")
	two := swap(t, p, one, "two")
	stranger := store.Pointer{Name: "p", Value: []byte("two"), Revision: "made-up"}
	for what, old := range map[string]store.Pointer{"absent": store.Absent("p"), "older": one, "stranger": stranger} {
		if _, err := p.Swap(t.Context(), old, []byte("x")); !errors.Is(err, store.ErrConflict) {
			t.Errorf("swap of %s: got %v, want ErrConflict", what, err)
		}
		if err := p.Delete(t.Context(), old); !errors.Is(err, store.ErrConflict) {
			t.Errorf("delete of %s: got %v, want ErrConflict", what, err)
		}
	}
	if err := p.Delete(t.Context(), two); err != nil {
		t.Fatal(err)
	}
	for what, old := range map[string]store.Pointer{"deleted": two, "stranger": stranger} {
		if _, err := p.Swap(t.Context(), old, []byte("x")); !errors.Is(err, store.ErrConflict) {
			t.Errorf("swap of %s: got %v, want ErrConflict", what, err)
		}
	}
	if _, err := p.Load(t.Context(), "p"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the losers left something: %v", err)
	}
}

// testABA: a value that came back is not the pointer that was read.
func testABA(t *testing.T, _ store.Store, p store.Pointers) {
	a := swap(t, p, store.Absent("p"), "a")
	b := swap(t, p, a, "b")
	again := swap(t, p, b, "a")
	if _, err := p.Swap(t.Context(), a, []byte("c")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("swap from the first a: got %v, want ErrConflict", err)
	}
	same := swap(t, p, again, "a")
	if _, err := p.Swap(t.Context(), again, []byte("c")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("swap from before the same value: got %v, want ErrConflict", err)
	}
	swap(t, p, same, "c")
}

func testPointerSizes(t *testing.T, _ store.Store, p store.Pointers) {
	large := bytes.Repeat([]byte{0, '\n', 0xff, 'x'}, store.MaxPointerSize/4)
	made, err := p.Swap(t.Context(), store.Absent("large"), large)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Load(t.Context(), "large")
	if err != nil || !bytes.Equal(got.Value, large) {
		t.Fatalf("got %d bytes, %v", len(got.Value), err)
	}
	if _, err := p.Swap(t.Context(), made, append(large, 'x')); err == nil {
		t.Error("a value above MaxPointerSize is taken")
	}
}

func testPointerOrder(t *testing.T, _ store.Store, p store.Pointers) {
	want := append(trickyKeys(), "a", "a/b", "a-b") // a pointer may be another's folder
	slices.Sort(want)
	for _, i := range scattered(len(want)) {
		swap(t, p, store.Absent(want[i]), "value of "+want[i])
	}
	checkOrder(t, want, func(prefix, after string) []string { return names(t, p, prefix, after) })
}

// testApart: an object and a pointer of one name do not meet.
func testApart(t *testing.T, s store.Store, p store.Pointers) {
	put(t, s, "both/k", "object")
	swap(t, p, store.Absent("both/k"), "value of both/k")
	swap(t, p, store.Absent("only"), "value of only")
	put(t, s, "just", "object")
	if got := keys(t, s, "", ""); !slices.Equal(got, []string{"both/k", "just"}) {
		t.Errorf("objects: %q", got)
	}
	if got := names(t, p, "", ""); !slices.Equal(got, []string{"both/k", "only"}) {
		t.Errorf("pointers: %q", got)
	}
	wantAbsent(t, s, "only")
	if _, err := p.Load(t.Context(), "just"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("load of an object: %v", err)
	}
}

func testRacingCreates(t *testing.T, _ store.Store, p store.Pointers) {
	for _, name := range []string{"race/1", "race/2", "race/3"} {
		var won atomic.Int32
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				value := strconv.Itoa(i)
				switch _, err := p.Swap(t.Context(), store.Absent(name), []byte(value)); {
				case err == nil:
					won.Add(1)
					winner.Store(value)
				case !errors.Is(err, store.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := p.Load(t.Context(), name)
		if err != nil || won.Load() != 1 || string(got.Value) != winner.Load() {
			t.Errorf("%d creates won; pointer %q, %v, winner %v", won.Load(), got.Value, err, winner.Load())
		}
	}
}

const (
	writers    = 8
	increments = 50
)

func testIncrements(t *testing.T, _ store.Store, p store.Pointers) {
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			if err := Increment(t.Context(), p, "counter", increments); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := p.Load(t.Context(), "counter")
	if err != nil || string(got.Value) != strconv.Itoa(writers*increments) {
		t.Errorf("counter is %q, %v, want %d", got.Value, err, writers*increments)
	}
}

// Increment adds n to the number that a pointer holds, by compare-and-swap,
// for tests with several processes.
func Increment(ctx context.Context, p store.Pointers, name string, n int) error {
	for n > 0 {
		old, err := p.Load(ctx, name)
		if errors.Is(err, store.ErrNotFound) {
			old, err = store.Absent(name), nil
		}
		if err != nil {
			return err
		}
		have, _ := strconv.Atoi(strings.TrimSpace(string(old.Value)))
		switch _, err := p.Swap(ctx, old, []byte(strconv.Itoa(have+1))); {
		case err == nil:
			n--
		case !errors.Is(err, store.ErrConflict):
			return err
		}
	}
	return nil
}

func testRacingDeletes(t *testing.T, _ store.Store, p store.Pointers) {
	old := swap(t, p, store.Absent("p"), "x")
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			var err error
			if i%2 == 0 {
				err = p.Delete(t.Context(), old)
			} else {
				_, err = p.Swap(t.Context(), old, []byte("y"))
			}
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, store.ErrConflict) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of the swaps and deletes of one revision won", won.Load())
	}
}

func testFormat(t *testing.T, _ store.Store, p store.Pointers) {
	ids := make([]string, 6)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			f, err := store.EnsureFormat(t.Context(), p)
			if err != nil {
				t.Error(err)
			}
			ids[i] = f.StoreID
		})
	}
	wg.Wait()
	if slices.Sort(ids); ids[0] == "" || ids[0] != ids[len(ids)-1] {
		t.Errorf("ids %q", ids)
	}
	old, err := p.Load(t.Context(), store.FormatPointer)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{`{"layout":2,"store_id":"x"}`, `{"layout":1}`, `{}`, ``, `{"layout":`} {
		old = swap(t, p, old, value)
		if _, err := store.ReadFormat(t.Context(), p); !errors.Is(err, store.ErrFormat) {
			t.Errorf("format %s: got %v, want ErrFormat", value, err)
		}
		if _, err := store.EnsureFormat(t.Context(), p); !errors.Is(err, store.ErrFormat) {
			t.Errorf("format %s: got %v, want ErrFormat", value, err)
		}
	}
}

package s3store

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keyGen makes keys near what encodeKey treats apart.
func keyGen() *rapid.Generator[string] {
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "/", "!", "\"", "#", " ", "-", "0", "1", "2", "é", "\x01", "~"}),
		rapid.Map(rapid.IntRange(235, 245), func(n int) string { return strings.Repeat("n", n) }),
	)
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(piece, 0, 8).Draw(t, "pieces"), "")
	})
}

// TestKeys: what a service gets keeps order and prefixes, comes back as it was,
// and has no component that a file system refuses.
func TestKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := keyGen().Draw(t, "a"), keyGen().Draw(t, "b")
		x, y := encodeKey(a), encodeKey(b)
		if (a < b) != (x < y) || (a == b) != (x == y) {
			t.Fatalf("%q and %q are in another order than %q and %q", x, y, a, b)
		}
		if strings.HasPrefix(a, b) != strings.HasPrefix(x, y) && !strings.HasPrefix(x, y) {
			t.Fatalf("%q begins with %q, but %q not with %q", a, b, x, y)
		}
		if (a+pointerMark < b+pointerMark) != (x+pointerMark < y+pointerMark) && a != b {
			if (a < b) != (x+pointerMark < y+pointerMark) {
				t.Fatalf("pointers %q and %q are in another order", a, b)
			}
		}
		if back, ok := decodeKey(x); !ok || back != a {
			t.Fatalf("%q comes back as %q, %v", a, back, ok)
		}
		for part := range strings.SplitSeq(x, "/") {
			if len(part) > 250 {
				t.Fatalf("%q has a component of %d bytes", x, len(part))
			}
		}
	})
}

func TestKeysAsTheyAre(t *testing.T) {
	s := &Store{root: "kiln/"}
	for _, key := range []string{"format", "images/acme~shop/manifests/sha256:ab", "descendants/sha256:ab/acme~shop@sha256:cd"} {
		if got := s.objectKey(key); got != "kiln/"+key {
			t.Errorf("%s lies at %s", key, got)
		}
		name, pointer, ok := s.parseKey("kiln/" + key + "!")
		if name != key || !pointer || !ok {
			t.Errorf("pointer %s is read as %s, %v, %v", key, name, pointer, ok)
		}
	}
	for _, strange := range []string{"other/format", "kiln/tmp/probe/x", "kiln/a b", "kiln/\"zz"} {
		if name, _, ok := s.parseKey(strange); ok {
			t.Errorf("%s is read as %s", strange, name)
		}
	}
}

func FuzzDecodeKey(f *testing.F) {
	for _, s := range []string{"a/b", "\"", "\"2", "\"21", strings.Repeat("n", 240) + "/", strings.Repeat("n", 240) + "/1x", strings.Repeat("n", 241)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if key, ok := decodeKey(s); ok && len(key) > len(s) {
			t.Fatalf("%q grows to %q", s, key)
		}
	})
}

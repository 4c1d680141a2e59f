package store

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func TestLayout(t *testing.T) {
	d := digest.Digest("sha256:" + strings.Repeat("ab", 32))
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for got, want := range map[string]string{
		BlobKey(d):                          "blobs/sha256/ab/" + d.Encoded(),
		BlobLinkKey("acme/shop", d):         "images/acme~shop/blobs/" + string(d),
		ManifestLinkKey("acme/shop", d):     "images/acme~shop/manifests/" + string(d),
		ReferrersPrefix("acme/shop", d):     "images/acme~shop/referrers/" + string(d) + "/",
		VersionKey("acme/shop", at, d):      "images/acme~shop/versions/7456048991854775801-" + string(d),
		TagPointer("acme/shop", "1.0"):      "images/acme~shop/tags/1.0",
		StatePointer("acme/shop"):           "images/acme~shop/state",
		DescendantKey(d, "acme/shop", d):    "descendants/" + string(d) + "/acme~shop@" + string(d),
		DescendantKey(d, "", ""):            "descendants/" + string(d) + "/",
		UnescapeImage(EscapeImage("a/b-c")): "a/b-c",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	d := digest.FromString("x")
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, later := range []time.Duration{1, time.Second, time.Hour, 200 * 365 * 24 * time.Hour} {
		if VersionKey("a", at.Add(later), d) >= VersionKey("a", at, d) {
			t.Errorf("%v later does not sort before", later)
		}
	}
}

// TestKeysFit: the longest that callers can make is a key.
func TestKeysFit(t *testing.T) {
	d := digest.Digest("sha512:" + strings.Repeat("ab", 64))
	image, tag := strings.Repeat("a", 200), strings.Repeat("t", 128)
	for _, key := range []string{
		DescendantKey(d, image, d), ReferrersPrefix(image, d) + string(d), TagPointer(image, tag), VersionKey(image, time.Unix(0, 0), d),
	} {
		if err := CheckKey(key); err != nil {
			t.Error(err)
		}
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, s := range []string{"a/b", "", "/", "a//b", "../x", "a/./b", "\xff", "a\x00", "tmp/x", "locks", strings.Repeat("a", 901)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		err := CheckKey(key)
		if err != nil && !errors.Is(err, ErrInvalidKey) {
			t.Fatalf("got %v, want ErrInvalidKey", err)
		}
		bad := key == "" || len(key) > MaxKeyLength || strings.HasPrefix(key, "/") || strings.HasSuffix(key, "/") ||
			strings.Contains("/"+key+"/", "/../") || strings.Contains("/"+key+"/", "/./") || strings.Contains(key, "//")
		if bad && err == nil {
			t.Fatalf("%q passes", key)
		}
	})
}

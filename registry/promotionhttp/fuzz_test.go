package promotionhttp

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"kiln/registry/promotion"
)

// FuzzQuery: whatever is asked, the answer is JSON, no bug of ours, and a query
// that is let through has one reading.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"image=acme/shop", "image=acme/shop&channel=dev", "image=acme%2Fshop&channel=dev&limit=1", "limit=-1&cursor=1", "image=..%2F..&digest=sha256:0",
		"image=a;channel=b", "image=a&image=b", "%zz", "limit=9223372036854775808", "image=%00&channel=%ff", "cursor=" + strings.Repeat("9", 300),
		"digest=" + string(absent) + "&image=acme/shop", "key=x&role=bake", "image[a]=b", "+=+", "&&&", "=",
	} {
		f.Add(seed)
	}
	w := newWorld(f)
	a := w.baked(shop, "a")
	if _, err := w.service.Promote(f.Context(), promotion.PromoteRequest{Image: shop, Digest: a, Channel: "dev"}); err != nil {
		f.Fatal(err)
	}
	s, err := New(Config{Operations: w.service})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, parseErr := url.ParseQuery(query)
		for path, methods := range s.methods {
			for _, method := range methods {
				if method == "POST" || path == OpenAPIPath {
					continue
				}
				req := httptest.NewRequest(method, path, nil)
				req.Host, req.URL.RawQuery = "localhost:5000", query
				rec := httptest.NewRecorder()
				s.ServeHTTP(rec, req)
				if rec.Code >= 500 || !json.Valid(rec.Body.Bytes()) {
					t.Errorf("%s %s?%s: %d %s", method, path, query, rec.Code, rec.Body)
				}
				if rec.Code != 200 {
					continue
				}
				for name, v := range values {
					if len(v) != 1 || parseErr != nil {
						t.Errorf("%s?%s has %s %d times (%v), and is answered", path, query, name, len(v), parseErr)
					}
				}
			}
		}
	})
}

// FuzzBody: a POST that is no request of ours changes nothing and breaks nothing.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"image":"acme/shop","digest":"sha256:0","holder":"h","lifetime":"1h"}`, `{"apply":false,"grace":"1ns"}`, `{"retention":[{"image":"["}]}`,
		`{"image":"acme/shop","digest":"sha256:0","channel":"dev"}`, `{}`, `[]`, `null`, `{"image":1}`, `{"image":"a","image":"b"}`, `{"Image":"a"}`, "\xff", `{"a":{"a":{}}}`, "",
	} {
		f.Add([]byte(seed))
	}
	w := newWorld(f)
	s, err := New(Config{Operations: w.service})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, path := range []string{"promotions", "rollbacks", "leases", "deletions"} {
			rec := newRecorder(s, "POST", BasePath+path, strings.NewReader(string(body)))
			if rec.Code < 400 || rec.Code >= 500 || !json.Valid(rec.Body.Bytes()) {
				t.Errorf("POST %s %q: %d %s", path, body, rec.Code, rec.Body)
			}
		}
	})
}

package ociserver

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"kiln/registry"
)

const sum = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"

func TestParse(t *testing.T) {
	for _, c := range []struct {
		method, url string
		want        Request
	}{
		{"GET", "/v2/", Request{Kind: Ping}},
		{"HEAD", "/v2", Request{Kind: Ping}},
		{"GET", "/v2/_catalog?n=5&last=a/b", Request{Kind: Catalog, N: 5, Last: "a/b"}},
		{"GET", "/v2/a/b/tags/list", Request{Kind: TagList, Repo: "a/b", N: -1}},
		{"GET", "/v2/a/tags/list?n=99999999999999999", Request{Kind: TagList, Repo: "a", N: 1 << 30}},
		{"HEAD", "/v2/a/manifests/latest", Request{Kind: ManifestGet, Repo: "a", Tag: "latest"}},
		{"GET", "/v2/manifests/manifests/manifests", Request{Kind: ManifestGet, Repo: "manifests", Tag: "manifests"}},
		{"GET", "/v2/blobs/uploads/manifests/x", Request{Kind: ManifestGet, Repo: "blobs/uploads", Tag: "x"}},
		{"PUT", "/v2/a/manifests/" + sum + "?tag=x&tag=y", Request{Kind: ManifestPut, Repo: "a", Digest: sum, Tags: []string{"x", "y"}}},
		{"PUT", "/v2/a/manifests/x?tag=y", Request{Kind: ManifestPut, Repo: "a", Tag: "x"}},
		{"DELETE", "/v2/a/manifests/" + sum, Request{Kind: ManifestDelete, Repo: "a", Digest: sum}},
		{"GET", "/v2/a/blobs/sha256%3A" + sum[7:], Request{Kind: BlobGet, Repo: "a", Digest: sum}},
		{"DELETE", "/v2/a/blobs/" + sum, Request{Kind: BlobDelete, Repo: "a", Digest: sum}},
		{"POST", "/v2/a/blobs/uploads/", Request{Kind: UploadStart, Repo: "a"}},
		{"POST", "/v2/a/blobs/uploads", Request{Kind: UploadStart, Repo: "a"}},
		{"POST", "/v2/a/blobs/uploads/?digest=" + sum, Request{Kind: UploadWhole, Repo: "a", Digest: sum}},
		{"POST", "/v2/a/blobs/uploads/?mount=" + sum + "&from=b/c", Request{Kind: UploadMount, Repo: "a", Digest: sum, From: "b/c"}},
		{"POST", "/v2/a/blobs/uploads/?mount=" + sum, Request{Kind: UploadMount, Repo: "a", Digest: sum}},
		{"POST", "/v2/a/blobs/uploads/?mount=" + sum + "&from=../b", Request{Kind: UploadStart, Repo: "a", Digest: sum, From: "../b"}},
		{"GET", "/v2/a/blobs/uploads/0af3", Request{Kind: UploadStatus, Repo: "a", UploadID: "0af3"}},
		{"PATCH", "/v2/a/blobs/uploads/0af3", Request{Kind: UploadChunk, Repo: "a", UploadID: "0af3"}},
		{"PUT", "/v2/a/blobs/uploads/0af3?digest=" + sum, Request{Kind: UploadFinish, Repo: "a", UploadID: "0af3", Digest: sum}},
		{"DELETE", "/v2/a/blobs/uploads/0af3", Request{Kind: UploadCancel, Repo: "a", UploadID: "0af3"}},
		{"GET", "/v2/a/referrers/" + sum + "?artifactType=x/y", Request{Kind: ReferrerList, Repo: "a", Digest: sum, ArtifactType: "x/y"}},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(c.method, u)
		if err != nil || !equal(got, c.want) {
			t.Errorf("%s %s: %+v, %v, want %+v", c.method, c.url, got, err, c.want)
		}
	}
}

func equal(a, b Request) bool {
	tags := strings.Join(a.Tags, " ") == strings.Join(b.Tags, " ")
	return tags && a.Kind == b.Kind && a.Repo == b.Repo && a.From == b.From && a.Digest == b.Digest && a.Tag == b.Tag &&
		a.UploadID == b.UploadID && a.N == b.N && a.Last == b.Last && a.ArtifactType == b.ArtifactType
}

// TestParseRefuses: what is malformed reaches no registry (CVE-2024-3727).
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		method, url string
		status      int
	}{
		{"GET", "/", 404},
		{"GET", "/v2x", 404},
		{"GET", "/v2/a", 404},
		{"GET", "/v2/manifests/latest", 404},
		{"GET", "/v2/a/manifests/", 404},
		{"POST", "/v2/", 405},
		{"PATCH", "/v2/a/manifests/x", 405},
		{"PUT", "/v2/a/blobs/" + sum, 405},
		{"GET", "/v2/a/blobs/uploads/", 405},
		{"POST", "/v2/a/tags/list", 405},
		{"GET", "/v2/A/manifests/x", 400},
		{"GET", "/v2/../a/manifests/x", 400},
		{"GET", "/v2/a//manifests/x", 400},
		{"GET", "/v2/a%2f..%2fb/manifests/x", 400},
		{"GET", "/v2/a~b/manifests/x", 400},
		{"GET", "/v2/a/manifests/.x", 400},
		{"GET", "/v2/a/manifests/sha256:x", 400},
		{"GET", "/v2/a/blobs/sha256:..%2f..%2fx", 404},
		{"GET", "/v2/a/blobs/" + strings.ToUpper(sum), 400},
		{"GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", 400},
		{"GET", "/v2/a/blobs/x", 400},
		{"GET", "/v2/a/referrers/latest", 400},
		{"PUT", "/v2/a/blobs/uploads/0af3", 400},
		{"POST", "/v2/a/blobs/uploads/?mount=x&from=b", 400},
		{"PUT", "/v2/a/manifests/" + sum + "?tag=-", 400},
		{"PUT", "/v2/a/manifests/" + sum + "?" + strings.Repeat("tag=a&", 101), 400},
		{"GET", "/v2/_catalog?n=-1", 400},
		{"GET", "/v2/_catalog?n=+1", 400},
		{"GET", "/v2/_catalog?n=1e9", 400},
		{"GET", "/v2/a/tags/list?n=99999999999999999999", 400},
		{"GET", "/v2/a/tags/list?n=%zz", 400},
		{"GET", "/v2/" + strings.Repeat("a", 201) + "/tags/list", 400},
	} {
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(c.method, u)
		if err == nil || statusOf(err) != c.status {
			t.Errorf("%s %s: %+v, %v (%d), want status %d", c.method, c.url, got, err, statusOf(err), c.status)
		}
	}
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*wireError](err); ok {
		return e.status
	}
	return registry.ErrorCode(err).Status()
}

func FuzzParse(f *testing.F) {
	f.Add("GET", "/v2/a/b/manifests/latest")
	f.Add("POST", "/v2/a/blobs/uploads/?mount="+sum+"&from=b")
	f.Add("PUT", "/v2/a/manifests/"+sum+"?tag=x&tag=y")
	f.Add("GET", "/v2/_catalog?n=1&last=x")
	f.Add("PUT", "/v2/a/blobs/uploads/0?digest=sha512:x")
	f.Fuzz(func(t *testing.T, method, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		q, err := Parse(method, u)
		if err != nil {
			if status := statusOf(err); status < 400 || status > 499 {
				t.Errorf("%s %q: %v has status %d", method, s, err, status)
			}
			return
		}
		if handlers[q.Kind] == nil {
			t.Errorf("%s %q: no handler of %d", method, s, q.Kind)
		}
		if q.Kind != Ping && q.Kind != Catalog && registry.CheckName(q.Repo) != nil {
			t.Errorf("%s %q: repository %q", method, s, q.Repo)
		}
		if q.Digest != "" && registry.CheckDigest(q.Digest) != nil || q.Tag != "" && registry.CheckTag(q.Tag) != nil || q.From != "" && q.Kind == UploadMount && registry.CheckName(q.From) != nil {
			t.Errorf("%s %q: %+v", method, s, q)
		}
		if writes := q.Kind != Ping && method != http.MethodGet && method != http.MethodHead; !writes && strings.Contains("POST PUT PATCH DELETE", method) && method != "" {
			t.Errorf("%s %q: taken for a read", method, s)
		}
	})
}

func FuzzRanges(f *testing.F) {
	f.Add("bytes=0-4", int64(10))
	f.Add("bytes=-4", int64(10))
	f.Add("5-9", int64(5))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		if p, err := parseRange(header, size); err == nil && p != nil && (p.offset < 0 || p.length <= 0 || p.offset+p.length > size) {
			t.Errorf("%q of %d: %+v", header, size, p)
		}
		if p, err := parseContentRange(header); err == nil && (p.offset < 0 || p.length <= 0) {
			t.Errorf("%q: %+v", header, p)
		}
	})
}

func TestRanges(t *testing.T) {
	for header, want := range map[string]*span{
		"bytes=0-4": {0, 5}, "bytes=5-": {5, 5}, "bytes=-3": {7, 3}, "bytes=-30": {0, 10}, "bytes=9-99": {9, 1},
		"bytes=0-1,3-4": nil, "lines=1-2": nil, "bytes=": nil, "bytes=a-b": nil, "bytes=0-9999999999999999999": nil,
	} {
		got, err := parseRange(header, 10)
		if err != nil || (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %v, %v, want %v", header, got, err, want)
		}
	}
	for _, header := range []string{"bytes=10-", "bytes=10-11", "bytes=4-3", "bytes=-0"} {
		if _, err := parseRange(header, 10); !errors.Is(err, registry.CodeRangeInvalid) {
			t.Errorf("%s: %v", header, err)
		}
	}
	for _, header := range []string{"bytes 0-4/5", "0", "4-3", "-3", "0-", "a-b", "0-4/5", "1-99999999999999999999"} {
		if p, err := parseContentRange(header); err == nil {
			t.Errorf("%s: %v", header, p)
		}
	}
}

package ociserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/ociserver"
	"kiln/registry/registrytest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const base = "/v2/" + repo

func TestManifests(t *testing.T) {
	w := newWorld(t, ociserver.Options{})
	d := w.image("layer", "latest")
	for _, ref := range []string{"latest", d} {
		for _, method := range []string{"GET", "HEAD"} {
			a := w.do(method, base+"/manifests/"+ref, nil)
			w.want(a, 200, "")
			w.wantHeader(a, "Docker-Content-Digest", d)
			w.wantHeader(a, "Content-Type", ocispec.MediaTypeImageManifest)
			w.wantHeader(a, "Docker-Distribution-Api-Version", "registry/2.0")
			a = w.do(method, base+"/manifests/"+ref, nil, "If-None-Match", `"x", W/"`+d+`"`)
			w.want(a, 304, "")
			w.want(w.do(method, base+"/manifests/"+ref, nil, "If-None-Match", `"x"`), 200, "")
		}
	}
	w.want(w.do("GET", base+"/manifests/none", nil), 404, "MANIFEST_UNKNOWN")
	w.want(w.do("PUT", base+"/manifests/x", strings.NewReader("{}"), "Content-Type", "a/b;;"), 400, "MANIFEST_INVALID")
	w.want(w.do("PATCH", base+"/manifests/x", nil), 405, "UNSUPPORTED")

	// A body without limit (FAULTS 4), with and without its length.
	large := strings.Repeat("x", registry.MaxManifestSize+1)
	w.want(w.do("PUT", base+"/manifests/x", strings.NewReader(large)), 413, "MANIFEST_INVALID")
	w.want(w.do("PUT", base+"/manifests/x", io.MultiReader(strings.NewReader(large))), 413, "MANIFEST_INVALID")

	a := w.do("DELETE", base+"/manifests/latest", nil)
	w.want(a, 202, "")
	w.want(w.do("DELETE", base+"/manifests/"+d, nil), 202, "")
	w.want(w.do("GET", base+"/manifests/"+d, nil), 404, "MANIFEST_UNKNOWN")
}

func TestBlobs(t *testing.T) {
	w := newWorld(t, ociserver.Options{})
	content := strings.Repeat("0123456789", 20_000)
	d := registrytest.PushBlob(t, w.reg, repo, "", content).Digest
	path := base + "/blobs/" + d.String()
	a := w.do("GET", path, nil)
	w.want(a, 200, "")
	if a.body != content {
		t.Errorf("%d bytes", len(a.body))
	}
	w.wantHeader(a, "Docker-Content-Digest", d.String())
	for header, want := range map[string]string{"bytes=0-3": "0123", "bytes=199998-": "89", "bytes=-1": "9"} {
		a := w.do("GET", path, nil, "Range", header)
		w.want(a, 206, "")
		if a.body != want {
			t.Errorf("%s: %q", header, a.body)
		}
	}
	w.wantHeader(w.do("GET", path, nil, "Range", "bytes=1-2"), "Content-Range", "bytes 1-2/200000")
	w.want(w.do("GET", path, nil, "Range", "bytes=1-2", "If-Range", `"other"`), 200, "")
	a = w.do("GET", path, nil, "Range", "bytes=200000-")
	w.want(a, 416, "RANGE_INVALID")
	w.wantHeader(a, "Content-Range", "bytes */200000")
	w.want(w.do("HEAD", path, nil, "If-None-Match", "*"), 304, "")
	// The digest alone opens nothing elsewhere (CVE-2024-39897).
	w.want(w.do("GET", "/v2/acme/other/blobs/"+d.String(), nil), 404, "BLOB_UNKNOWN")
}

// begin starts an upload and returns its location.
func (w *world) begin() string {
	w.t.Helper()
	a := w.do("POST", base+"/blobs/uploads/", nil)
	w.want(a, 202, "")
	w.wantHeader(a, "Range", "0-0")
	return a.Header.Get("Location")
}

// TestUploadOrder: chunks out of order, overlapping, and lying about their length.
func TestUploadOrder(t *testing.T) {
	w := newWorld(t, ociserver.Options{})
	at := w.begin()
	a := w.do("PATCH", at, strings.NewReader("0123456789"), "Content-Range", "0-9")
	w.want(a, 202, "")
	w.wantHeader(a, "Range", "0-9")
	for _, part := range []string{"0-4", "5-9", "11-15"} {
		a := w.do("PATCH", at, strings.NewReader("wrong"), "Content-Range", part)
		w.want(a, 416, "RANGE_INVALID")
		w.wantHeader(a, "Range", "0-9")
		w.wantHeader(a, "Location", at)
		w.want(w.do("PUT", at+"?digest="+digest.FromString("x").String(), strings.NewReader("wrong"), "Content-Range", part), 416, "RANGE_INVALID")
	}
	w.want(w.do("PATCH", at, strings.NewReader("wrong"), "Upload-Offset", "3"), 416, "RANGE_INVALID")
	w.want(w.do("PATCH", at, strings.NewReader("wrong"), "Upload-Offset", "x"), 400, "BLOB_UPLOAD_INVALID")
	w.want(w.do("PATCH", at, strings.NewReader("wrong"), "Content-Range", "bytes 10-14/15"), 400, "BLOB_UPLOAD_INVALID")
	w.want(w.do("PATCH", at, strings.NewReader("wrong"), "Content-Range", "10-99"), 400, "SIZE_INVALID")
	w.want(w.do("PATCH", at, io.MultiReader(strings.NewReader("longer")), "Content-Range", "10-14"), 400, "SIZE_INVALID")
	w.want(w.do("PATCH", at, io.MultiReader(strings.NewReader("less")), "Content-Range", "10-14"), 400, "SIZE_INVALID")
	a = w.do("GET", at, nil)
	w.want(a, 204, "")
	w.wantHeader(a, "Upload-Offset", "10")

	// Another repository's session (CVE-2026-32589).
	w.want(w.do("PATCH", strings.Replace(at, repo, "acme/other", 1), strings.NewReader("x")), 404, "BLOB_UPLOAD_UNKNOWN")

	d := digest.FromString("0123456789abc")
	w.want(w.do("PUT", at+"?digest="+digest.FromString("other").String(), nil), 400, "DIGEST_INVALID")
	a = w.do("PUT", at+"?digest="+d.String(), strings.NewReader("abc"), "Content-Range", "10-12")
	w.want(a, 201, "")
	w.wantHeader(a, "Location", base+"/blobs/"+d.String())
	w.want(w.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")

	at = w.begin()
	w.want(w.do("DELETE", at, nil), 204, "")
	w.want(w.do("PATCH", at, strings.NewReader("x")), 404, "BLOB_UPLOAD_UNKNOWN")
}

func TestMount(t *testing.T) {
	w := newWorld(t, ociserver.Options{})
	d := registrytest.PushBlob(t, w.reg, "acme/base", "", "shared").Digest.String()
	w.want(w.do("POST", base+"/blobs/uploads/?mount="+d+"&from=acme/base", nil), 201, "")
	w.want(w.do("HEAD", base+"/blobs/"+d, nil), 200, "")
	for _, from := range []string{"&from=acme/none", "", "&from=../x"} { // no guess is enough (FAULTS 9)
		w.want(w.do("POST", "/v2/acme/third/blobs/uploads/?mount="+d+from, nil), 202, "")
	}
	w.want(w.do("HEAD", "/v2/acme/third/blobs/"+d, nil), 404, "")
}

// TestPages: lists with any n (CVE-2023-2253), and names that start others.
func TestPages(t *testing.T) {
	w := newWorld(t, ociserver.Options{MaxPage: 2})
	tags := []string{"a", "a-b", "ab", "b"}
	w.image("layer", tags...)
	for _, r := range []string{"acme", "acme/shop-x"} {
		registrytest.PushImage(t, w.reg, r, "x", nil)
	}
	var got, repos []string
	for next := base + "/tags/list?n=1000000000"; next != ""; {
		a := w.do("GET", next, nil)
		var page struct{ Tags []string }
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || len(page.Tags) > 2 {
			t.Fatalf("%s: %v", a.body, err)
		}
		got, next = append(got, page.Tags...), link(a)
	}
	for next := "/v2/_catalog"; next != ""; {
		a := w.do("GET", next, nil)
		var page struct{ Repositories []string }
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		repos, next = append(repos, page.Repositories...), link(a)
	}
	if strings.Join(got, " ") != strings.Join(tags, " ") || strings.Join(repos, " ") != "acme acme/shop acme/shop-x" {
		t.Errorf("tags %q, repositories %q", got, repos)
	}
	a := w.do("GET", base+"/tags/list?n=0", nil)
	if a.body != `{"name":"acme/shop","tags":[]}` || link(a) != "" {
		t.Errorf("%s %s", a.body, link(a))
	}
	w.want(w.do("GET", base+"/tags/list?n=x", nil), 400, "PAGINATION_NUMBER_INVALID")
	w.want(w.do("GET", "/v2/none/tags/list", nil), 404, "NAME_UNKNOWN")
}

func link(a answer) string {
	target, _, _ := strings.Cut(strings.TrimPrefix(a.Header.Get("Link"), "<"), ">")
	return target
}

func TestReferrers(t *testing.T) {
	w := newWorld(t, ociserver.Options{})
	subject := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("missing"), Size: 7}
	const n = 50 // of 100 kB each: more than one page
	for i := range n {
		registrytest.PushImage(t, w.reg, repo, "x", nil, func(m *ocispec.Manifest) {
			m.Subject, m.ArtifactType = &subject, "application/a"
			m.Annotations = map[string]string{"n": fmt.Sprint(i), "large": strings.Repeat("x", 100_000)}
		})
	}
	seen, pages := map[digest.Digest]bool{}, 0
	for next := base + "/referrers/" + subject.Digest.String() + "?artifactType=application/a"; next != ""; pages++ {
		a := w.do("GET", next, nil)
		w.want(a, 200, "")
		w.wantHeader(a, "OCI-Filters-Applied", "artifactType")
		w.wantHeader(a, "Content-Type", ocispec.MediaTypeImageIndex)
		var index ocispec.Index
		if err := json.Unmarshal([]byte(a.body), &index); err != nil {
			t.Fatal(err)
		}
		for _, m := range index.Manifests {
			seen[m.Digest] = true
		}
		next = link(a)
	}
	if len(seen) != n || pages < 2 {
		t.Errorf("%d referrers in %d pages", len(seen), pages)
	}
	a := w.do("GET", base+"/referrers/"+subject.Digest.String()+"?artifactType=none", nil)
	if !strings.Contains(a.body, `"manifests":[]`) {
		t.Errorf("%s", a.body)
	}
}

// broken is a registry whose every manifest is an accident.
type broken struct {
	registry.Registry
	err error
}

func (b broken) Manifest(context.Context, string, digest.Digest) (ocispec.Descriptor, []byte, error) {
	return ocispec.Descriptor{}, nil, b.err
}

func (b broken) OpenBlob(ctx context.Context, repo string, d digest.Digest, offset, length int64) (io.ReadCloser, error) {
	rc, err := b.Registry.OpenBlob(ctx, repo, d, offset, length)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(rc, fails{b.err}), rc}, nil
}

type fails struct{ err error }

func (f fails) Read([]byte) (int, error) { return 0, f.err }

// TestInternalErrors: strangers get an id, the log gets the cause, and a blob
// that turns out wrong does not arrive whole (zot #4427).
func TestInternalErrors(t *testing.T) {
	for _, cause := range []error{errors.New("disk /secret/path is on fire"), registry.Errorf(registry.CodeCorrupt, "object /secret/path is damaged")} {
		w := newWorld(t, ociserver.Options{})
		d := registrytest.PushBlob(t, w.reg, repo, "", strings.Repeat("x", 300_000)).Digest
		var log strings.Builder
		s := httptest.NewServer(ociserver.New(broken{w.reg, cause}, ociserver.Options{Log: textLog(&log)}))
		t.Cleanup(s.Close)
		w.url = s.URL
		a := w.do("GET", base+"/manifests/"+d.String(), nil)
		w.want(a, 500, "")
		id := a.Header.Get("X-Request-Id")
		if strings.Contains(a.body, "secret") || id == "" || !strings.Contains(a.body, id) {
			t.Errorf("answer %s", a.body)
		}
		if !strings.Contains(log.String(), id) || !strings.Contains(log.String(), "/secret/path") {
			t.Errorf("log %s", log.String())
		}
		resp, err := http.Get(w.url + base + "/blobs/" + d.String())
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err == nil {
			t.Errorf("all %d bytes of a broken blob arrived", n)
		}
	}
}

// TestLimits: headers, sessions, and bodies that do not move.
func TestLimits(t *testing.T) {
	w := newWorld(t, ociserver.Options{MaxUploads: 2, MaxTransfers: 1, IdleTimeout: 100 * time.Millisecond})
	w.want(w.do("GET", "/v2/", nil, "X", strings.Repeat("x", 40_000)), 431, "")
	w.want(w.do("GET", "/v2/?"+strings.Repeat("x", 40_000), nil), 431, "")

	first := w.begin()
	second := w.begin()
	a := w.do("POST", base+"/blobs/uploads/", nil)
	w.want(a, 429, "TOOMANYREQUESTS")
	w.wantHeader(a, "Retry-After", "1")
	w.want(w.do("DELETE", second, nil), 204, "")
	w.begin()

	// One slow body holds its place until it is cut off.
	conn, err := net.Dial("tcp", w.host())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow", first)
	time.Sleep(30 * time.Millisecond)
	w.want(w.do("PATCH", first, strings.NewReader("x")), 429, "TOOMANYREQUESTS")
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 400 {
		t.Errorf("slow body: %v, %v", resp, err)
	}
	// Nor does one that nobody reads hold the connection.
	idle, err := net.Dial("tcp", w.host())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	fmt.Fprint(idle, "POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nslow")
	_ = idle.SetReadDeadline(time.Now().Add(10 * time.Second))
	if resp, err := http.ReadResponse(bufio.NewReader(idle), nil); err != nil || resp.StatusCode != 405 {
		t.Errorf("body that is not read: %v, %v", resp, err)
	}
	a = w.do("GET", first, nil)
	w.wantHeader(a, "Upload-Offset", "0") // it added nothing
	w.want(w.do("PATCH", first, strings.NewReader("x")), 202, "")
}

package registrytest

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

func start(t *testing.T, r registry.Writer) registry.Upload {
	t.Helper()
	u, err := r.StartUpload(t.Context(), repo)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func appendChunk(t *testing.T, u registry.Upload, s string) {
	t.Helper()
	if err := u.Append(t.Context(), u.Size(), strings.NewReader(s)); err != nil {
		t.Fatal(err)
	}
}

func testUploads(t *testing.T, r registry.Registry) {
	large := strings.Repeat("chunk of some size ", 100_000)
	for _, chunks := range [][]string{{"one chunk"}, {"one, ", "two, ", "three"}, {large, large}, {}, {"a", "", "b"}} {
		content := strings.Join(chunks, "")
		d := digest.FromString(content)
		u := start(t, r)
		for _, c := range chunks {
			appendChunk(t, u, c)
			var err error
			if u, err = r.ResumeUpload(t.Context(), repo, u.ID()); err != nil {
				t.Fatal(err)
			}
		}
		if u.Size() != int64(len(content)) {
			t.Errorf("size %d, want %d", u.Size(), len(content))
		}
		if len(content) > 0 {
			_, err := u.Commit(t.Context(), digest.FromString("something else"))
			want(t, err, registry.CodeDigestInvalid)
			wantNoBlob(t, r, repo, d)
		}
		desc, err := u.Commit(t.Context(), d)
		if err != nil || desc.Digest != d {
			t.Fatalf("commit: %v, %v", desc, err)
		}
		if got := readBlob(t, r, repo, d, 0, -1); got != content {
			t.Errorf("got %d bytes, want %d", len(got), len(content))
		}
		_, err = r.ResumeUpload(t.Context(), repo, u.ID())
		want(t, err, registry.CodeUploadUnknown)
	}

	u := start(t, r)
	appendChunk(t, u, "for ")
	appendChunk(t, u, "sha512")
	d := digest.SHA512.FromString("for sha512")
	if _, err := u.Commit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if got := readBlob(t, r, repo, d, 0, -1); got != "for sha512" {
		t.Errorf("got %q", got)
	}
}

// testUploadOrder: chunks with gaps, overlaps, repeats or a broken end add nothing.
func testUploadOrder(t *testing.T, r registry.Registry) {
	u := start(t, r)
	want(t, u.Append(t.Context(), 5, strings.NewReader("gap")), registry.CodeRangeInvalid)
	appendChunk(t, u, "0123456789")
	for _, offset := range []int64{0, 5, 9, 11, 1 << 40} {
		want(t, u.Append(t.Context(), offset, strings.NewReader("wrong")), registry.CodeRangeInvalid)
	}
	broken := io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := u.Append(t.Context(), 10, broken); err == nil {
		t.Error("a chunk that broke off is taken")
	}
	again, err := r.ResumeUpload(t.Context(), repo, u.ID())
	if err != nil {
		t.Fatal(err)
	}
	if again.Size() != 10 {
		t.Fatalf("size %d, want 10", again.Size())
	}
	appendChunk(t, again, "abc")
	if _, err := again.Commit(t.Context(), digest.FromString("0123456789abc")); err != nil {
		t.Fatal(err)
	}
}

// testUploadOwner: an upload serves the image it was begun for (CVE-2026-32589).
func testUploadOwner(t *testing.T, r registry.Registry) {
	u := start(t, r)
	appendChunk(t, u, "mine")
	for _, other := range []string{"acme/other", "acme", "acme/shop/sub", "acme/sho"} {
		_, err := r.ResumeUpload(t.Context(), other, u.ID())
		want(t, err, registry.CodeUploadUnknown)
	}
	for _, id := range []string{strings.Repeat("0", 32), "x", u.ID() + "0"} {
		_, err := r.ResumeUpload(t.Context(), repo, id)
		want(t, err, registry.CodeUploadUnknown)
	}
	if u.ID() == start(t, r).ID() {
		t.Error("two uploads with one id")
	}
	if err := u.Cancel(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.ResumeUpload(t.Context(), repo, u.ID())
	want(t, err, registry.CodeUploadUnknown)
	wantNoBlob(t, r, repo, digest.FromString("mine"))
}

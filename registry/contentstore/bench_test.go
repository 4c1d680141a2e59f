package contentstore_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"kiln/registry/registrytest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// BenchmarkPushBlob pushes a layer of 64 MiB that was not there.
func BenchmarkPushBlob(b *testing.B) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	b.SetBytes(int64(len(data)))
	r := contentOf(openStore(b))
	for i := 0; b.Loop(); i++ {
		copy(data, fmt.Sprintf("%16d", i))
		desc := ocispec.Descriptor{Digest: digest.FromBytes(data), Size: int64(len(data))}
		if err := r.PushBlob(b.Context(), repo, desc, bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPushVersion pushes a small image whole: two blobs, a manifest, a
// version tag.
func BenchmarkPushVersion(b *testing.B) {
	r := contentOf(openStore(b))
	for i := 0; b.Loop(); i++ {
		registrytest.PushImage(b, r, repo, fmt.Sprint(i), []string{fmt.Sprintf("20260101T000000Z-%012x", i)})
	}
}

// BenchmarkRepositories lists 500 images.
func BenchmarkRepositories(b *testing.B) {
	r := contentOf(openStore(b))
	for i := range 500 {
		registrytest.PushImage(b, r, fmt.Sprintf("acme/app%d", i), "x", nil)
	}
	for b.Loop() {
		n := 0
		for range r.Repositories(b.Context(), "") {
			n++
		}
		if n != 500 {
			b.Fatal(n)
		}
	}
}

// BenchmarkOpenBlob reads a blob of 64 MiB whole, which hashes it.
func BenchmarkOpenBlob(b *testing.B) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	b.SetBytes(int64(len(data)))
	r := contentOf(openStore(b))
	d := registrytest.PushBlob(b, r, repo, "", string(data)).Digest
	for b.Loop() {
		rc, err := r.OpenBlob(b.Context(), repo, d, 0, -1)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, rc); err != nil {
			b.Fatal(err)
		}
		rc.Close()
	}
}

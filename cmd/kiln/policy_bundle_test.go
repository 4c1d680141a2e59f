package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/policy"
	"kiln/registry"
)

// bundleOf is a tar.gz with entries of these names, of size bytes each.
func bundleOf(t *testing.T, typ byte, size int, names ...string) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	for _, name := range names {
		h := &tar.Header{Typeflag: typ, Name: name, Mode: 0o644}
		if typ == tar.TypeReg {
			h.Size = int64(size)
		} else {
			h.Linkname = "/etc/passwd"
		}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(make([]byte, h.Size)); err != nil {
			t.Fatal(err)
		}
	}
	if tw.Close() != nil || zw.Close() != nil {
		t.Fatal("the bundle is not written")
	}
	return buf.Bytes()
}

// oneBlob is a registry that has one blob, whatever is asked.
type oneBlob struct {
	registry.Reader
	content []byte
}

func (r oneBlob) OpenBlob(context.Context, string, digest.Digest, int64, int64) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(r.content)), nil
}

func TestPolicyLayer(t *testing.T) {
	const reg = tar.TypeReg
	for _, tc := range []struct {
		name, media, title string
		content            []byte
		tamper             bool
		files              string
		want               string
	}{
		{name: "a bundle as OPA makes it", media: policyBundleType, content: bundleOf(t, reg, 1, "/policy.rego", "/data.json", "/.manifest", "/.signatures.json", "README.md"), files: "data.json policy.rego"},
		{name: "of folders", media: policyBundleType, content: bundleOf(t, reg, 1, "./a/b.rego", "team/data.yaml"), files: "a/b.rego team/data.yaml"},
		{name: "conftest's rules", media: policyRegoType, title: "policy/deny.rego", content: []byte("package kiln"), files: "policy/deny.rego"},
		{name: "conftest's data", media: policyDataType, title: "data.json", content: []byte("{}"), files: "data.json"},
		{name: "other bytes", media: policyRegoType, title: "a.rego", content: []byte("package kiln"), tamper: true, want: "do not match its digest"},
		{name: "no title", media: policyRegoType, content: []byte("package kiln"), want: "no .rego file"},
		{name: "a title that leads out", media: policyRegoType, title: "../a.rego", content: []byte("x"), want: "leads out"},
		{name: "another type", media: "application/vnd.example+wasm", content: []byte("x"), want: "its type is"},
		{name: "no archive", media: policyBundleType, content: []byte("x"), want: "EOF"},
		{name: "a name that leads out", media: policyBundleType, content: bundleOf(t, reg, 1, "a/../../b.rego"), want: "leads out"},
		{name: "a name twice", media: policyBundleType, content: bundleOf(t, reg, 1, "a.rego", "./a.rego"), want: "there twice"},
		{name: "a link", media: policyBundleType, content: bundleOf(t, tar.TypeSymlink, 0, "a.rego"), want: "is no file"},
		{name: "a bomb", media: policyBundleType, content: bundleOf(t, reg, 3*policy.MaxSource, "a.rego", "b.rego"), want: "bytes unpacked"},
		{name: "a bomb of what does not count", media: policyBundleType, content: bundleOf(t, reg, 3*policy.MaxSource, "a.bin", "b.bin"), want: "bytes unpacked"},
		{name: "a giant", media: policyRegoType, title: "a.rego", content: make([]byte, policy.MaxSource+1), want: "over the limit"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			layer := ocispec.Descriptor{
				MediaType: tc.media, Digest: digest.FromBytes(tc.content), Size: int64(len(tc.content)),
				Annotations: map[string]string{ocispec.AnnotationTitle: tc.title},
			}
			if tc.tamper {
				tc.content = append(tc.content, ' ')
			}
			files, err := readPolicyLayer(t.Context(), oneBlob{content: tc.content}, "acme/policy", layer)
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Fatalf("%v, want %q", err, tc.want)
				}
				return
			}
			if got := strings.Join(slices.Sorted(maps.Keys(files)), " "); err != nil || got != tc.files {
				t.Errorf("%s (%v), want %s", got, err, tc.files)
			}
		})
	}
}

// What is written is read again, and the same files give the same bytes.
func TestPolicyBundle(t *testing.T) {
	files := map[string][]byte{"a.rego": []byte("package kiln"), "team/data.json": []byte("{}"), "b/c.rego": []byte("package b")}
	one, err := tarPolicy(files)
	if err != nil {
		t.Fatal(err)
	}
	again, err := tarPolicy(maps.Clone(files))
	if err != nil || !bytes.Equal(one, again) {
		t.Errorf("other bytes of the same files (%v)", err)
	}
	back, err := untarPolicy(one)
	if err != nil || !maps.EqualFunc(back, files, bytes.Equal) {
		t.Errorf("%v (%v)", back, err)
	}
}

func FuzzPolicyBundle(f *testing.F) {
	whole, err := tarPolicy(map[string][]byte{"a.rego": []byte("package kiln"), "team/data.json": []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Fuzz(func(t *testing.T, text []byte) {
		files, err := untarPolicy(text)
		if err != nil {
			return
		}
		for name := range files {
			if !isPolicyFile(name) || strings.HasPrefix(name, "/") || strings.HasPrefix(name, "../") {
				t.Errorf("%q is taken", name)
			}
		}
	})
}

package registry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	fuzzImage = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}`
	fuzzIndex = `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}]}`
)

// FuzzManifest: what is taken as one media type is taken as no other, and has
// one reading: fields spelled as they are, and digests that are safe in a key.
func FuzzManifest(f *testing.F) {
	for _, s := range []string{fuzzImage, fuzzIndex, "{}", "[]", `{"layers":[],"Layers":[]}`, strings.Replace(fuzzImage, "layers", "Layers", 1), fuzzImage + "{}"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		taken := map[bool]string{}
		for mediaType, sh := range shapes {
			m, err := ParseManifest(mediaType, content)
			if err != nil {
				if ErrorCode(err) != CodeManifestInvalid {
					t.Fatalf("got %v, want a code", err)
				}
				continue
			}
			taken[sh.index] = mediaType
			for _, d := range append(m.Blobs, m.Manifests...) {
				if CheckDigest(d.Digest) != nil || d.Size < 0 {
					t.Fatalf("descriptor %v is taken", d)
				}
			}
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(content, &fields); err != nil {
				t.Fatalf("taken, but %v", err)
			}
			if _, ok := fields["manifests"]; ok != sh.index {
				t.Fatalf("taken as %s", mediaType)
			}
		}
		if len(taken) > 1 {
			t.Fatalf("taken as %v", taken)
		}
	})
}

func TestParseManifest(t *testing.T) {
	m, err := ParseManifest("", []byte(fuzzImage))
	if err != nil || m.MediaType != ocispec.MediaTypeImageManifest || m.ArtifactType != "a/b" {
		t.Errorf("without a type: %+v, %v", m, err)
	}
	if _, err := ParseManifest("", []byte(fuzzIndex)); err == nil {
		t.Error("no type at all is taken")
	}
	deep := append(bytes.Repeat([]byte(`{"a":`), 1<<19), '1')
	if _, err := ParseManifest(ocispec.MediaTypeImageManifest, deep); err == nil {
		t.Error("deep nesting is taken")
	}
}

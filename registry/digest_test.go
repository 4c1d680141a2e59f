package registry

import (
	"path"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// FuzzCheckDigest: what passes is one path component behind its algorithm, in
// the one spelling that there is (FAULTS 12).
func FuzzCheckDigest(f *testing.F) {
	hex := sha256Digest.Encoded()
	for _, s := range []string{
		string(sha256Digest), string(sha512Digest), "sha256:../../x", "sha256:" + strings.ToUpper(hex), "sha256:" + hex[1:], "sha256:" + hex + "0",
		"sha512:" + hex, "md5:" + hex[:32], "sha256+b64:" + hex, "sha256:" + hex + "\n", "sha256:" + hex[:60] + "/../", ":" + hex, "sha256", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := digest.Digest(s)
		if err := CheckDigest(d); err != nil {
			if ErrorCode(err) != CodeDigestInvalid || len(err.Error()) > 2000 {
				t.Fatalf("%q: %v", s, err)
			}
			return
		}
		alg, encoded, _ := strings.Cut(s, ":")
		lengths := map[string]int{"sha256": 64, "sha512": 128}
		if len(encoded) != lengths[alg] || strings.Trim(encoded, "0123456789abcdef") != "" {
			t.Fatalf("%q passes", s)
		}
		if got := path.Join("blobs", alg, encoded); got != "blobs/"+alg+"/"+encoded {
			t.Fatalf("%q leads to %s", s, got)
		}
		if d.Algorithm().String() != alg || d.Encoded() != encoded {
			t.Fatalf("%q is read as %s %s", s, d.Algorithm(), d.Encoded())
		}
	})
}

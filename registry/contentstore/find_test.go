package contentstore_test

import (
	"fmt"
	"testing"

	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/registrytest"
	"kiln/registry/store/filestore"

	"github.com/opencontainers/go-digest"
)

// TestFindBlob: a digest that others guess opens nothing (FAULTS 9).
func TestFindBlob(t *testing.T) {
	s, err := filestore.Open(t.Context(), t.TempDir(), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	r := contentstore.New(s, s.Pointers(), contentstore.Options{})
	for i := range 40 {
		registrytest.PushBlob(t, r, fmt.Sprintf("acme/other%d", i), "", "other")
	}
	d := registrytest.PushBlob(t, r, "acme/secret", "", "bytes").Digest
	anyone := func(string) bool { return true }
	if image, err := r.FindBlob(t.Context(), d, anyone); err != nil || image != "acme/secret" {
		t.Errorf("found in %q, %v", image, err)
	}
	for name, find := range map[string]func() (string, error){
		"not readable": func() (string, error) { return r.FindBlob(t.Context(), d, func(string) bool { return false }) },
		"other's only": func() (string, error) {
			return r.FindBlob(t.Context(), d, func(image string) bool { return image != "acme/secret" })
		},
		"absent": func() (string, error) { return r.FindBlob(t.Context(), digest.FromString("none"), anyone) },
	} {
		if image, err := find(); image != "" || registry.ErrorCode(err) != registry.CodeBlobUnknown {
			t.Errorf("%s: found in %q, %v", name, image, err)
		}
	}
	if _, err := r.FindBlob(t.Context(), "sha256:../../x", anyone); registry.ErrorCode(err) != registry.CodeDigestInvalid {
		t.Errorf("a path as digest: %v", err)
	}
	if err := r.DeleteBlob(t.Context(), "acme/secret", d); err != nil {
		t.Fatal(err)
	}
	if image, err := r.FindBlob(t.Context(), d, anyone); image != "" || err == nil {
		t.Errorf("after its deletion: found in %q, %v (FAULTS 10)", image, err)
	}
}

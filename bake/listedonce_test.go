package bake

import (
	"context"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/registry"
	"kiln/sign"
)

// countedLists counts listings of referrers.
type countedLists struct {
	registry.Registry
	lists int
}

func (c *countedLists) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	c.lists++
	return c.Registry.Referrers(ctx, repo, d, artifactType)
}

// What a version has of evidence is listed once, however many kinds there are:
// in a bucket every entry of a list is a request.
func TestEvidenceIsListedOnce(t *testing.T) {
	w := newRecordWorld(t)
	recipe := project(t, map[string]string{"f": "x", "kiln.hcl": `project = "acme"
image "a" {
  copy {
    source = "f"
    target = "/f"
  }
}
`})
	private, _, err := sign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "k.key")
	if err := os.WriteFile(file, private, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := sign.LoadSigner(context.Background(), file, func() ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	store := &countedLists{Registry: w.registry}
	p := &RegistryPublisher{
		Registry: store, Versions: w.registry, Signer: signer, Revision: Revision{Dirty: true},
		Now: time.Now,
	}
	bake := func() Baked {
		t.Helper()
		baked, err := Bake(t.Context(), Request{Recipe: recipe, Builder: w.builder(t, t.TempDir()), Publisher: p})
		if err != nil {
			t.Fatal(err)
		}
		return baked[0]
	}
	bake()
	store.lists = 0
	if again := bake(); again.Built || store.lists != 1 {
		t.Errorf("built %v, %d listings", again.Built, store.lists)
	}

	// A list that breaks off breaks off each time, behind what it gave.
	once := listOnce(broken{Evidence(store)})
	for range 2 {
		var got []string
		for desc, err := range once.Referrers(t.Context(), "acme/a", "sha256:x", "") {
			if err != nil {
				got = append(got, "error")
				break
			}
			got = append(got, string(desc.Digest))
		}
		if !slices.Equal(got, []string{"one", "error"}) {
			t.Errorf("%q", got)
		}
	}
}

type broken struct{ sign.Reader }

func (broken) Referrers(context.Context, string, digest.Digest, string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		_ = yield(ocispec.Descriptor{Digest: "one"}, nil) && yield(ocispec.Descriptor{}, context.DeadlineExceeded)
	}
}

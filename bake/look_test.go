package bake

import (
	"archive/tar"
	"fmt"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"

	"kiln/layers"
)

const lookStatus = "Package: base-files\nStatus: install ok installed\nArchitecture: amd64\nVersion: 12\n\n" +
	"Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"

func viewOf(t *testing.T, img v1.Image) *View {
	t.Helper()
	cache, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cache.Close() })
	h, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewView("acme/app", digest.Digest(h.String()), img)
	if err != nil {
		t.Fatal(err)
	}
	if v.look, err = NewLook(nil, cache, nil); err != nil {
		t.Fatal(err)
	}
	return v
}

// The packages are those of the merged tree: of dpkg's database as the topmost
// layer has it, and of distroless fragments that no layer removes.
func TestViewPackages(t *testing.T) {
	fragment := func(name string) string {
		return fmt.Sprintf("Package: %s\nArchitecture: all\nVersion: 3\n", name)
	}
	removal := layers.Entry{Path: "var/lib/dpkg/status.d/.wh.old", Type: tar.TypeReg, ModTime: Epoch}
	v := viewOf(t, imageOf(t, layers.Gzip,
		[]layers.Entry{plainFile("var/lib/dpkg/status", strings.ReplaceAll(lookStatus, "12", "11"))},
		[]layers.Entry{
			plainFile("var/lib/dpkg/status.d/old", fragment("old")),
			plainFile("var/lib/dpkg/status.d/tzdata", fragment("tzdata")),
			plainFile("var/lib/dpkg/status.d/tzdata.md5sums", "no package"),
		},
		[]layers.Entry{plainFile("var/lib/dpkg/status", lookStatus), removal},
	))
	list, err := v.Packages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(list), "[{base-files 12 amd64   } {tzdata 3 all   }]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := v.Steps(); fmt.Sprint(got) != "[step 1 step 2 step 3]" {
		t.Errorf("steps %v", got)
	}
}

// A layer that is not what the config says is an error, and nothing of it is
// kept for later: others share the cache, by the diffID.
func TestViewOtherLayer(t *testing.T) {
	good := imageOf(t, layers.Gzip, []layers.Entry{plainFile("a", "one")})
	v := viewOf(t, imageOf(t, layers.Gzip, []layers.Entry{plainFile("a", "two")}))
	config, err := good.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	v.Config = config
	if _, err := v.Index(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "its config says") {
		t.Errorf("error %v", err)
	}
	if _, known := v.Known(t.Context(), 0); known {
		t.Error("the index of another layer is kept under the diffID")
	}
}

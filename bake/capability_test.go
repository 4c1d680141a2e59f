package bake

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"kiln/bake/template"
	"kiln/layers"
)

// netRaw is cap_net_raw=ep as setcap writes it.
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// pinging is the image "build" of stages with a program that has a capability.
func pinging(t *testing.T, b *Builder, recipe *template.Image) {
	t.Helper()
	img, err := b.Build(t.Context(), recipe)
	if err != nil {
		t.Fatal(err)
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("program")), nil }
	l, _, err := layers.Build(t.Context(), filepath.Join(t.TempDir(), "layer"), layers.Gzip, []layers.Entry{{
		Path: "opt/ping", Type: tar.TypeReg, Mode: 0o4755, Size: 7, Open: open, Xattrs: map[string]string{"security.capability": netRaw},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if img.Image, err = mutate.AppendLayers(img.Image, l); err != nil {
		t.Fatal(err)
	}
}

// capableIn are the files of the last layer of an image that have capabilities,
// and theirs.
func capableIn(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	all, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := all[len(all)-1].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	found := map[string]string{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range h.PAXRecords {
			if name != "SCHILY.xattr.security.capability" {
				t.Errorf("%s has a record %q", h.Name, name)
			}
			found[h.Name] = value
		}
	}
}

// Copies of files of images keep their capabilities; a new owner and hardening
// take them, as chown does.
func TestCopiesKeepCapabilities(t *testing.T) {
	for name, c := range map[string]struct {
		block, dockerfile string
		want              map[string]string
	}{
		"image": {block: "image {\n from = image.build\n source = \"/opt\"\n target = \"/srv\"\n}", want: map[string]string{"srv/ping": netRaw}},
		"image of an owner": {
			block: "image {\n from = image.build\n source = \"/opt/ping\"\n target = \"/bin/\"\n owner = \"5\"\n}", want: map[string]string{"bin/ping": netRaw},
		},
		"Dockerfile": {
			block: "dockerfile {\n}", dockerfile: "FROM scratch\nCOPY --from=acme/build /opt/ping /bin/ping\n", want: map[string]string{"bin/ping": netRaw},
		},
		"Dockerfile, owner and mode": {
			block: "dockerfile {\n}", dockerfile: "FROM scratch\nCOPY --from=acme/build --chown=5 --chmod=700 /opt/ping /bin/ping\n",
			want: map[string]string{"bin/ping": netRaw},
		},
		"mode":       {block: "from = image.build\npermissions {\n path = \"/opt/ping\"\n mode = \"0700\"\n}", want: map[string]string{"opt/ping": netRaw}},
		"owner":      {block: "from = image.build\npermissions {\n path = \"/opt/ping\"\n owner = \"5\"\n}"},
		"no set-uid": {block: "from = image.build\nhardening {\n no_setuid = true\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			files := stages(c.block)
			if c.dockerfile != "" {
				files["Dockerfile"] = c.dockerfile
			}
			recipe := project(t, files)
			b := builder(t, BuilderOptions{Scanner: markScanner{}})
			pinging(t, b, recipe.Images[0])
			img, err := b.Build(t.Context(), recipe.Images[1])
			if err != nil {
				t.Fatal(err)
			}
			if got := capableIn(t, img.Image); !maps.Equal(got, c.want) {
				t.Errorf("capabilities of %q, want %q", got, c.want)
			}
			step := img.Steps[len(img.Steps)-1]
			found, err := b.scanFiles(t.Context(), img, step.layer)
			if err != nil {
				t.Fatal(err)
			}
			whole, err := b.scanWhole(t.Context(), step.layer)
			if err != nil {
				t.Fatal(err)
			}
			if found != nil && !slices.Equal(found.Marks, whole.Marks) {
				t.Errorf("the files expose %v, the layer %v", found.Marks, whole.Marks)
			}
			checkRecorded(t, step.items)
		})
	}
}

// checkRecorded writes items into a record and reads them.
func checkRecorded(t *testing.T, items []item) {
	t.Helper()
	blob, err := detail{Schema: detailSchema, Items: detailItems(items)}.encode()
	if err != nil {
		t.Fatal(err)
	}
	d, err := parseDetail(blob.content)
	if err != nil {
		t.Fatal(err)
	}
	for i, it := range d.items(nil) {
		if it.Capability != items[i].Capability {
			t.Errorf("%s: the record has capability %q, the item %q", it.Target, it.Capability, items[i].Capability)
		}
	}
}

// A file without capabilities says nothing of them in keys and records, as
// before there were any; an index that does not know of those that the scan saw
// is not believed.
func TestCapabilitiesUnsaid(t *testing.T) {
	for _, v := range []any{item{}, landed{}, detailItem{}, layers.Node{}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("Capability")) || bytes.Contains(text, []byte(`"k"`)) || bytes.Contains(text, []byte(`"c"`)) {
			t.Errorf("%T: %s", v, text)
		}
	}
	parse := func(text string) *layers.Index {
		ix := layers.NewIndex()
		if err := json.Unmarshal([]byte(text), ix); err != nil {
			t.Fatal(err)
		}
		return ix
	}
	old := parse(`{"ping":{"t":48,"d":"sha256:x"}}`)
	knows := parse(`{"ping":{"t":48,"d":"sha256:x","c":"` + strings.Repeat("00", 20) + `"}}`)
	saw := &detailScan{layerScan: layerScan{Marks: []mark{{"/ping", isCapable}}}}
	for name, c := range map[string]struct {
		detail
		want bool
	}{
		"old":          {detail{Index: old, Scan: saw}, true},
		"new":          {detail{Index: knows, Scan: saw}, false},
		"none":         {detail{Index: old, Scan: &detailScan{}}, false},
		"not scanned":  {detail{Index: old}, false},
		"another mark": {detail{Index: old, Scan: &detailScan{layerScan: layerScan{Marks: []mark{{"/ping", isSetuid}}}}}, false},
	} {
		if got := c.lacksCapabilities(); got != c.want {
			t.Errorf("%s: lacks capabilities: %v", name, got)
		}
	}
	if err := json.Unmarshal([]byte(`{"ping":{"t":48,"c":"00"}}`), layers.NewIndex()); err == nil {
		t.Error("one byte was taken for capabilities")
	}
}

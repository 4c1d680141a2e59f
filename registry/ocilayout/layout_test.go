package ocilayout_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/registry"
	"kiln/registry/ocilayout"
	"kiln/registry/registrytest"

	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const repo = "acme/shop"

func newLayout(t *testing.T) (*ocilayout.Layout, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	l, err := ocilayout.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, dir
}

func indexOf(t *testing.T, dir string) ocispec.Index {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// TestIndex: index.json lists what nothing else names, however often it is
// pushed, and others read the layout.
func TestIndex(t *testing.T) {
	l, dir := newLayout(t)
	child := registrytest.PushImage(t, l, repo, "child", nil)
	if n := len(indexOf(t, dir).Manifests); n != 1 {
		t.Errorf("%d entries with an image alone", n)
	}
	inner := pushIndex(t, l, nil, child)
	outer := pushIndex(t, l, []string{"1.0", "latest"}, inner, child)
	signature := registrytest.PushImage(t, l, repo, "signature", nil, func(m *ocispec.Manifest) {
		m.Subject, m.ArtifactType = &child, "application/signature"
	})
	registrytest.PushImage(t, l, repo, "child", nil) // again: it is named by the index
	pushIndex(t, l, []string{"latest"}, inner, child)
	got := map[string]digest.Digest{}
	for _, d := range indexOf(t, dir).Manifests {
		got[d.Annotations[ocispec.AnnotationRefName]] = d.Digest
	}
	if len(got) != 3 || got["acme/shop:1.0"] != outer.Digest || got["acme/shop:latest"] != outer.Digest || got[""] != signature.Digest {
		t.Errorf("index.json lists %v", got)
	}
	registrytest.PushImage(t, l, repo, "other", []string{"latest"})
	if moved, err := l.Tag(t.Context(), repo, "latest"); err != nil || moved.Digest == outer.Digest {
		t.Errorf("the tag did not move: %v, %v", moved, err)
	}
	ix, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ix.IndexManifest()
	if err != nil || len(m.Manifests) != 3 {
		t.Fatalf("others read %+v, %v", m, err)
	}
	if _, err := ix.ImageIndex(m.Manifests[0].Digest); err != nil {
		t.Error(err)
	}
}

func pushIndex(t *testing.T, l *ocilayout.Layout, tags []string, children ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children}
	return registrytest.PushJSON(t, l, repo, index.MediaType, index, tags...)
}

// TestFind finds what a person names.
func TestFind(t *testing.T) {
	l, _ := newLayout(t)
	if _, err := l.Find(""); registry.ErrorCode(err) != registry.CodeManifestUnknown {
		t.Errorf("in an empty layout: %v", err)
	}
	one := registrytest.PushImage(t, l, repo, "one", []string{"1.0", "latest"})
	registrytest.PushImage(t, l, repo, "signature", []string{"sha256-" + one.Digest.Encoded() + ".sig"}, func(m *ocispec.Manifest) { m.Subject = &one })
	if f, err := l.Find(""); err != nil || f.Descriptor.Digest != one.Digest || f.Repo != repo {
		t.Errorf("the only image: %+v, %v", f, err)
	}
	two := registrytest.PushImage(t, l, "acme/base", "two", []string{"2.0"})
	bare := registrytest.PushImage(t, l, "", "bare", []string{"edge"})
	for name, want := range map[string]ocilayout.Found{
		"acme/shop:1.0": {Repo: repo, Tag: "1.0", Descriptor: one},
		"1.0":           {Repo: repo, Tag: "1.0", Descriptor: one},
		"acme/base":     {Repo: "acme/base", Tag: "2.0", Descriptor: two},
		"edge":          {Repo: "", Tag: "edge", Descriptor: bare},
	} {
		if got, err := l.Find(name); err != nil || got.Repo != want.Repo || got.Tag != want.Tag || got.Descriptor.Digest != want.Descriptor.Digest {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	for _, name := range []string{"", "acme/shop", "none", "acme/shop:none"} {
		if got, err := l.Find(name); registry.ErrorCode(err) != registry.CodeManifestUnknown || !strings.Contains(err.Error(), "acme/shop:1.0") {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
}

// TestHostile: a layout from elsewhere that lies, or leads out of its folder.
func TestHostile(t *testing.T) {
	l, dir := newLayout(t)
	d := registrytest.PushBlob(t, l, repo, "", "content").Digest
	file := filepath.Join(dir, "blobs", "sha256", d.Encoded())
	if err := os.WriteFile(file, []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	rc, err := l.OpenBlob(t.Context(), repo, d, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if _, err := io.ReadAll(rc); registry.ErrorCode(err) != registry.CodeCorrupt {
		t.Errorf("changed bytes: %v (FAULTS 11)", err)
	}
	if _, _, err := l.Manifest(t.Context(), repo, d); registry.ErrorCode(err) != registry.CodeCorrupt {
		t.Errorf("changed manifest: %v (FAULTS 11)", err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := digest.FromString("secret")
	if err := os.Symlink(secret, filepath.Join(dir, "blobs", "sha256", link.Encoded())); err != nil {
		t.Fatal(err)
	}
	if _, err := l.StatBlob(t.Context(), repo, link); err == nil {
		t.Error("a link out of the layout is followed")
	}
	for _, bad := range []digest.Digest{"sha256:../../x", "sha256:" + digest.Digest(strings.ToUpper(link.Encoded())), "sha256:00"} { // FAULTS 12
		if _, err := l.StatBlob(t.Context(), repo, bad); registry.ErrorCode(err) != registry.CodeDigestInvalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	entry := `{"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../../x","annotations":{"org.opencontainers.image.ref.name":"x"}}]}`
	if err := os.WriteFile(filepath.Join(dir, "index.json"), []byte(entry), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Find("x"); registry.ErrorCode(err) != registry.CodeDigestInvalid {
		t.Errorf("a path in index.json: %v", err)
	}
	if _, err := l.Tag(t.Context(), "", "x"); registry.ErrorCode(err) != registry.CodeDigestInvalid {
		t.Errorf("a path in index.json: %v", err)
	}
}

// TestOpen opens no folder of something else.
func TestOpen(t *testing.T) {
	if _, err := ocilayout.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"", "{}", `{"imageLayoutVersion":"2.0.0"}`} {
		if mark != "" {
			if err := os.WriteFile(filepath.Join(dir, "oci-layout"), []byte(mark), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ocilayout.Create(dir); err == nil {
			t.Errorf("a folder with the mark %q is taken", mark)
		}
	}
}

func TestSuite(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		l, _ := newLayout(t)
		return struct {
			registry.Deleter
			uploads
			*ocilayout.Layout
		}{Layout: l}
	}, "blobs", "blob ranges", "wrong blobs", "sha512", "invalid manifests", "indexes")
}

// uploads are what a layout has not.
type uploads interface {
	StartUpload(ctx context.Context, repo string) (registry.Upload, error)
	ResumeUpload(ctx context.Context, repo, id string) (registry.Upload, error)
}

// FuzzIndex: whatever index.json says, nothing outside of the layout is named
// and nothing without a digest is found.
func FuzzIndex(f *testing.F) {
	d := digest.FromString("x").String()
	for _, s := range []string{
		`{"manifests":[{"mediaType":"x","size":1,"digest":"` + d + `","annotations":{"org.opencontainers.image.ref.name":"acme/shop:1"}}]}`,
		`{"manifests":[{"digest":"sha256:../../x","annotations":{"org.opencontainers.image.ref.name":"a"}},{"digest":""}]}`,
		`{"manifests":[{"digest":"` + d + `","annotations":{"org.opencontainers.image.ref.name":"sha256-` + d[7:] + `"}}]}`, `{}`, `[]`, ``,
	} {
		f.Add([]byte(s), "acme/shop:1")
		f.Add([]byte(s), "")
	}
	dir := filepath.Join(f.TempDir(), "layout")
	l, err := ocilayout.Create(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, index []byte, name string) {
		if err := os.WriteFile(filepath.Join(dir, "index.json"), index, 0o644); err != nil {
			t.Fatal(err)
		}
		if found, err := l.Find(name); err == nil && registry.CheckDigest(found.Descriptor.Digest) != nil {
			t.Fatalf("found %+v", found)
		}
		for repo, err := range l.Repositories(t.Context(), "") {
			if err != nil {
				break
			}
			if repo != "" && registry.CheckName(repo) != nil {
				t.Fatalf("image %q", repo)
			}
			for tag, err := range l.Tags(t.Context(), repo, "") {
				desc, terr := l.Tag(t.Context(), repo, tag)
				if err != nil || registry.CheckTag(tag) != nil || terr == nil && registry.CheckDigest(desc.Digest) != nil {
					t.Fatalf("tag %q: %v, %v, %v", tag, desc, err, terr)
				}
			}
		}
		for desc, err := range l.Referrers(t.Context(), "", digest.Digest(d), "") {
			if err == nil {
				t.Fatalf("referrer %v of nothing", desc)
			}
		}
	})
}

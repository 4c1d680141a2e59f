package trustfile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiln/registry"
	"kiln/registry/ocilayout"
	"kiln/registry/promotion"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tampered is an OCI layout with a signed and attested image, and the trust
// file of whoever got it on a disk.
type tampered struct {
	*testing.T
	dir     string // of the layout
	trust   string
	subject Subject
	now     time.Time
	keys    map[string]string
	require []string
}

const ownTrust = `bake {
  image   = "acme/*"
  key     = file("bake.pub")
  require = ["spdx"]
}
promote {
  image = "acme/*"
  key   = file("promote.pub")
}
`

// signers are a key for baking and one for promoting.
func signers(t *testing.T) (bake, promote *sign.Signer) {
	t.Helper()
	var made [2]*sign.Signer
	for i := range made {
		private, _, err := sign.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, private, 0o600); err != nil {
			t.Fatal(err)
		}
		if made[i], err = sign.LoadSigner(t.Context(), path, nil); err != nil {
			t.Fatal(err)
		}
	}
	return made[0], made[1]
}

// inLayout lets sign write into a layout.
type inLayout struct{ *ocilayout.Layout }

func (l inLayout) PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	m := registry.Manifest{MediaType: mediaType, Content: content}
	if tag != "" {
		m.Tags = []string{tag}
	}
	return l.PushManifest(ctx, repo, m)
}

func newTampered(t *testing.T) *tampered {
	bake, promote := signers(t)
	x := &tampered{T: t, dir: filepath.Join(t.TempDir(), "layout"), trust: ownTrust, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		keys: map[string]string{"bake.pub": string(bake.PublicPEM()), "promote.pub": string(promote.PublicPEM())}}
	l, err := ocilayout.Create(x.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ev := inLayout{l}
	for _, image := range []string{"acme/shop", "acme/toolbox"} {
		desc := x.image(l, image)
		if err := bake.SignImage(t.Context(), ev, image, desc); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{sign.SPDXPredicate, sign.ProvenancePredicate} {
			if _, err := bake.Attest(t.Context(), ev, image, desc, p, map[string]string{"of": image}); err != nil {
				t.Fatal(err)
			}
		}
		x.subject = Subject{Image: image, Digest: desc.Digest}
	}
	x.subject = Subject{Image: "acme/shop", Digest: x.found("acme/shop:1")}
	return x
}

// image puts a version under the tag 1.
func (x *tampered) image(l *ocilayout.Layout, image string) ocispec.Descriptor {
	x.Helper()
	var blobs []ocispec.Descriptor
	for _, content := range []string{`{"os":"linux","architecture":"amd64"}`, "layer of " + image} {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString(content), Size: int64(len(content))}
		if err := l.PushBlob(x.Context(), image, d, strings.NewReader(content)); err != nil {
			x.Fatal(err)
		}
		blobs = append(blobs, d)
	}
	blobs[1].MediaType = ocispec.MediaTypeImageLayer
	m, err := json.Marshal(ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: blobs[0], Layers: blobs[1:]})
	if err != nil {
		x.Fatal(err)
	}
	desc, err := l.PushManifest(x.Context(), image, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: m, Tags: []string{"1"}})
	if err != nil {
		x.Fatal(err)
	}
	return desc
}

// found is what a name in the layout stands for.
func (x *tampered) found(name string) digest.Digest {
	x.Helper()
	l, err := ocilayout.Open(x.dir)
	if err != nil {
		x.Fatal(err)
	}
	defer l.Close()
	f, err := l.Find(name)
	if err != nil {
		x.Fatal(err)
	}
	return f.Descriptor.Digest
}

// copied is a copy of all that may be changed.
func (x *tampered) copied(t *testing.T) *tampered {
	c := *x
	c.T, c.dir = t, filepath.Join(t.TempDir(), "layout")
	if err := os.CopyFS(c.dir, os.DirFS(x.dir)); err != nil {
		t.Fatal(err)
	}
	c.keys = map[string]string{}
	for name, key := range x.keys {
		c.keys[name] = key
	}
	return &c
}

// verify is what kiln verify oci:DIR does.
func (x *tampered) verify() error {
	f, err := Parse("trust.hcl", []byte(x.trust), func(name string) ([]byte, error) { return []byte(x.keys[name]), nil })
	if err != nil {
		return err
	}
	l, err := ocilayout.Open(x.dir)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, _, err := l.Manifest(x.Context(), x.subject.Image, x.subject.Digest); err != nil {
		return err
	}
	_, err = f.VerifyImage(x.Context(), l, x.subject, append([]string{sign.ProvenancePredicate}, x.require...), nil, func() time.Time { return x.now })
	return err
}

// file changes a blob of the layout.
func (x *tampered) file(d digest.Digest, change func([]byte) []byte) {
	x.Helper()
	path := filepath.Join(x.dir, "blobs", "sha256", d.Encoded())
	content, err := os.ReadFile(path)
	if err != nil {
		x.Fatal(err)
	}
	if err := os.WriteFile(path, change(content), 0o600); err != nil {
		x.Fatal(err)
	}
}

// all changes every blob that has a text in it.
func (x *tampered) all(text string, change func([]byte) []byte) {
	x.Helper()
	n := 0
	blobs := filepath.Join(x.dir, "blobs", "sha256")
	list, err := os.ReadDir(blobs)
	if err != nil {
		x.Fatal(err)
	}
	for _, e := range list {
		content, err := os.ReadFile(filepath.Join(blobs, e.Name()))
		if err != nil {
			x.Fatal(err)
		}
		if bytes.Contains(content, []byte(text)) {
			n++
			x.file(digest.NewDigestFromEncoded(digest.SHA256, e.Name()), change)
		}
	}
	if n == 0 {
		x.Fatalf("no blob has %s", text)
	}
}

// index changes index.json.
func (x *tampered) index(change func(*ocispec.Index)) {
	x.Helper()
	path := filepath.Join(x.dir, "index.json")
	content, err := os.ReadFile(path)
	if err != nil {
		x.Fatal(err)
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		x.Fatal(err)
	}
	change(&index)
	if content, err = json.Marshal(index); err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		x.Fatal(err)
	}
}

func flip(b []byte) []byte { b[len(b)/2] ^= 1; return b }

// TestTampered: a layout or a trust file that was changed lets nothing pass that
// did not before.
func TestTampered(t *testing.T) {
	whole := newTampered(t)
	if err := whole.verify(); err != nil {
		t.Fatal(err)
	}
	trust := func(old, next string) func(*tampered) {
		return func(x *tampered) {
			if !strings.Contains(x.trust, old) {
				x.Fatalf("no %s", old)
			}
			x.trust = strings.Replace(x.trust, old, next, 1)
		}
	}
	of := func(k promotion.Kind) func(error) bool {
		return func(err error) bool { return promotion.KindOf(err) == k }
	}
	is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
	unlisted := func(keep func(ocispec.Descriptor) bool) func(*tampered) {
		return func(x *tampered) {
			x.index(func(i *ocispec.Index) {
				var left []ocispec.Descriptor
				for _, d := range i.Manifests {
					if keep(d) {
						left = append(left, d)
					}
				}
				i.Manifests = left
			})
		}
	}
	damaged, invalid, denied := of(promotion.KindVerification), of(promotion.KindInvalid), of(promotion.KindDenied)
	for _, c := range []struct {
		name   string
		change func(*tampered)
		as     func(error) bool
		text   string
	}{
		{"manifest", func(x *tampered) { x.file(x.subject.Digest, flip) }, damaged, "does not match its digest"},
		{"manifest of another image", func(x *tampered) { x.subject.Digest = x.found("acme/toolbox:1") }, is(sign.ErrInvalid), `about image "acme/toolbox"`},
		{"tag moved to another image", func(x *tampered) {
			other := x.found("acme/toolbox:1")
			x.index(func(i *ocispec.Index) {
				for n, d := range i.Manifests {
					if d.Annotations[ocispec.AnnotationRefName] == "acme/shop:1" {
						i.Manifests[n].Digest = other
					}
				}
			})
			x.subject.Digest = x.found("acme/shop:1")
		}, is(sign.ErrInvalid), `about image "acme/toolbox"`},
		{"signatures and bundles, a byte of each", func(x *tampered) { x.all("application/vnd.in-toto+json", flip) }, damaged, "does not match its digest"},
		{"manifests of bundles, a byte of each", func(x *tampered) { x.all("dev.sigstore.bundle.content", flip) }, damaged, "does not match its digest"},
		{"all evidence out of the index", unlisted(func(d ocispec.Descriptor) bool {
			return d.ArtifactType == "" && !strings.Contains(d.Annotations[ocispec.AnnotationRefName], "sha256-")
		}), is(sign.ErrUnsigned), "no signature"},
		{"referrers out of the index", unlisted(func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] != "" }), is(sign.ErrUnsigned), "no attestation"},
		{"called by another name", func(x *tampered) { x.subject.Image = "acme/toolbox" }, is(sign.ErrInvalid), `about image "acme/shop"`},
		{"a report that is not there", func(x *tampered) { x.require = []string{sign.VulnPredicate} }, is(sign.ErrUnsigned), "no attestation of type"},
		{"the promotion key for baking", func(x *tampered) { x.keys["bake.pub"] = x.keys["promote.pub"] }, is(sign.ErrInvalid), "known key"},
		{"the bake key for promoting only", trust("bake {", "approve {"), invalid, "unknown attribute \"require\""},
		{"roles exchanged", func(x *tampered) { trust(`file("bake.pub")`, `file("promote.pub")`)(x) }, is(sign.ErrInvalid), "known key"},
		{"a byte of a key", func(x *tampered) { x.keys["bake.pub"] = string(flip([]byte(x.keys["bake.pub"]))) }, invalid, "key"},
		{"two keys in a file", func(x *tampered) { x.keys["bake.pub"] += x.keys["promote.pub"] }, invalid, "more than one PEM block"},
		{"an empty key file", func(x *tampered) { x.keys["bake.pub"] = "" }, invalid, "key"},
		{"other images", trust("acme/*", "acme/toolbox"), denied, "no bake rule names acme/shop"},
		{"images one level deeper", trust("acme/*", "acme/*/*"), denied, "no bake rule names acme/shop"},
		{"a requirement more", trust(`["spdx"]`, `["spdx", "vuln"]`), is(sign.ErrUnsigned), "no attestation of type"},
		{"a key that ended", trust("  require", "  not_after = \"2026-02-28\"\n  require"), is(sign.ErrInvalid), "expired"},
		{"a key to come", trust("  require", "  not_before = \"2026-03-02\"\n  require"), is(sign.ErrInvalid), "not valid yet"},
		{"the clock at the end of a key", func(x *tampered) {
			trust("  require", "  not_after = \"2026-03-31\"\n  require")(x)
			x.now = x.now.AddDate(0, 1, 0)
		}, is(sign.ErrInvalid), "expired"},
		{"no rule", func(x *tampered) { x.trust = "" }, invalid, "it trusts nobody"},
		{"cut", func(x *tampered) { x.trust = x.trust[:len(x.trust)/2] }, invalid, "trust.hcl:"},
		{"a letter", trust("bake", "bakc"), invalid, "unknown block"},
		{"an attribute twice", trust("  require", "  image = \"**\"\n  require"), invalid, "redefined"},
		{"an attribute in capitals", trust("image ", "Image "), invalid, "unknown attribute"},
		{"bytes that are no text", trust("acme", "\xff\xfe"), invalid, "trust.hcl:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := whole.copied(t)
			c.change(x)
			if err := x.verify(); err == nil || !c.as(err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v (%s), want %q", err, promotion.KindOf(err), c.text)
			}
		})
	}
}

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/registry"
	"kiln/registry/ocilayout"
)

// layoutWith is a layout of acme/files:1.0 with a signature, as cosign writes it
// under a tag, that names an image ("" for none). It returns the folder and the
// file of the public key.
func layoutWith(t *testing.T, named string) (dir, pub string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	dir = t.TempDir()
	pub = filepath.Join(dir, "by.pub")
	must(os.WriteFile(pub, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
	dir = filepath.Join(dir, "layout")
	l, err := ocilayout.Create(dir)
	must(err)
	defer l.Close()
	blob := func(mediaType string, content []byte) ocispec.Descriptor {
		desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
		must(l.PushBlob(t.Context(), "acme/files", desc, bytes.NewReader(content)))
		return desc
	}
	manifest := func(tag string, layers ...ocispec.Descriptor) digest.Digest {
		content, err := json.Marshal(ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			Config: blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: layers,
		})
		must(err)
		desc, err := l.PushManifest(t.Context(), "acme/files", registry.Manifest{
			MediaType: ocispec.MediaTypeImageManifest, Content: content, Tags: []string{tag},
		})
		must(err)
		return desc.Digest
	}
	d := manifest("1.0", blob(ocispec.MediaTypeImageLayer, []byte("layer")))
	payload := []byte(`{"critical":{"identity":{"docker-reference":"` + named + `"},"image":{"docker-manifest-digest":"` +
		d.String() + `"},"type":"cosign container image signature"},"optional":null}`)
	sum := sha256.Sum256(payload)
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	must(err)
	layer := blob("application/vnd.dev.cosign.simplesigning.v1+json", payload)
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig)}
	manifest("sha256-"+d.Encoded()+".sig", layer)
	return dir, pub
}

// A signature that names no image, as cosign 3 makes them, is its signer's word
// for these bytes: kiln verify takes it from whom the user names, and says so. A
// rule about images does not take it, and nothing takes another image's name.
func TestVerifyNamesNoImage(t *testing.T) {
	p := newPlace(t)
	for _, c := range []struct {
		name, named     string
		byKey, byTrust  int
		says, otherwise string
	}{
		{"no name", "", exitDone, exitUnverified, "names no image", "names no image"},
		{"its name", "acme/files", exitDone, exitDone, "(tag)", "(tag)"},
		{"its name behind a host", "host.example.com/acme/files", exitDone, exitDone, "(tag)", "(tag)"},
		{"another name", "acme/shop", exitUnverified, exitUnverified, `about image "acme/shop"`, `about image "acme/shop"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := p.in(t, nil)
			dir, pub := layoutWith(t, c.named)
			out, talk := p.kiln(c.byKey, "verify", "oci:"+dir, "--key", pub)
			if !strings.Contains(out+talk, c.says) {
				t.Errorf("by the key:\n%s%s", out, talk)
			}
			trust := filepath.Join(filepath.Dir(pub), "trust.hcl")
			if err := os.WriteFile(trust, []byte("bake {\n  image = \"acme/*\"\n  key = file(\"by.pub\")\n}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, talk = p.kiln(c.byTrust, "verify", "oci:"+dir, "--trust", trust)
			if !strings.Contains(out+talk, c.otherwise) {
				t.Errorf("by the rule:\n%s%s", out, talk)
			}
		})
	}
}

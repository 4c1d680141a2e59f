package promotion

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/store"
	"kiln/registry/store/filestore"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const shop = "acme/shop"

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// testKeys are made once: encrypting a key takes long on purpose.
var testKeys = sync.OnceValues(func() ([]*sign.Signer, error) {
	dir, err := os.MkdirTemp("", "keys")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var keys []*sign.Signer
	for i := range 3 {
		private, _, err := sign.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, private, 0o600); err != nil {
			return nil, err
		}
		k, err := sign.LoadSigner(context.Background(), path, nil)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
})

// world is a store with a service over it.
type world struct {
	testing.TB
	store    store.Store
	pointers store.Pointers
	registry registry.Registry
	service  *Service
	bake     *sign.Signer // trusted for baking, once something was signed
	promote  *sign.Signer
	stranger *sign.Signer
	clock    *clock
	base     digest.Digest // of the next image; "" for none
	baseName string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	fs, err := filestore.Open(context.Background(), tempDir(t), filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		TB: t, store: fs, pointers: fs.Pointers(), bake: keys[0], promote: keys[1], stranger: keys[2],
		clock: &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
	}
	w.registry = contentstore.New(w.store, w.pointers, contentstore.Options{Now: w.clock.Now})
	w.service = w.with(func(*Config) {})
	return w
}

// tempDir is in memory where that is possible: what a power cut leaves is
// filestore's to test.
func tempDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "kiln-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// with is another service over the same store.
func (w *world) with(change func(*Config)) *Service {
	w.Helper()
	cfg := Config{
		Store: w.store, Pointers: w.pointers, Registry: w.registry, Signer: w.promote,
		Policy: policy.Default(), Now: w.clock.Now,
	}
	change(&cfg)
	s, err := New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// open is a policy that allows everything.
func (w *world) open() *policy.Policy {
	p, err := policy.Load(map[string][]byte{"open.rego": []byte("package kiln\nallow := true\n")})
	if err != nil {
		w.Fatal(err)
	}
	return p
}

func (w *world) push(image string, content []byte) ocispec.Descriptor {
	w.Helper()
	d := descriptor("", content)
	if err := w.registry.PushBlob(w.Context(), image, d, bytes.NewReader(content)); err != nil {
		w.Fatal(err)
	}
	return d
}

// image stores a version without evidence, under the given tags or one of its
// own.
func (w *world) image(image, content string, tags ...string) ocispec.Descriptor {
	w.Helper()
	if len(tags) == 0 {
		tags = []string{w.clock.Now().Format("20060102T150405Z") + "-" + digest.FromString(content).Encoded()[:12]}
	}
	return w.stored(image, content, tags...)
}

// imageOn stores a version that says it was baked on base.
func (w *world) imageOn(image, content string, base digest.Digest) ocispec.Descriptor {
	w.Helper()
	w.base = base
	defer func() { w.base = "" }()
	return w.image(image, content)
}

// stored stores a manifest with the given tags.
func (w *world) stored(image, content string, tags ...string) ocispec.Descriptor {
	w.Helper()
	var annotations map[string]string
	if w.base != "" {
		annotations = map[string]string{ocispec.AnnotationBaseImageDigest: string(w.base)}
		if w.baseName != "" {
			annotations[ocispec.AnnotationBaseImageName] = w.baseName
		}
	}
	config := w.push(image, []byte(`{"os":"linux","architecture":"amd64","config":{}}`))
	config.MediaType = ocispec.MediaTypeImageConfig
	layer := w.push(image, []byte(content))
	layer.MediaType = ocispec.MediaTypeImageLayer
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer}, Annotations: annotations,
	})
	if err != nil {
		w.Fatal(err)
	}
	desc, err := w.registry.PushManifest(w.Context(), image, registry.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Content: manifest, Tags: tags,
	})
	if err != nil {
		w.Fatal(err)
	}
	return desc
}

// baked stores a version with all evidence, as a bake does, and its tag.
func (w *world) baked(image, content string) digest.Digest {
	w.Helper()
	if _, err := w.service.Admit(w.Context(), RoleBake, w.bake.PublicPEM(), image, "", true); err != nil {
		w.Fatal(err)
	}
	desc := w.stored(image, content)
	w.sign(w.bake, image, desc)
	w.attest(w.bake, image, desc, sign.ProvenancePredicate, provenanceOf(image, "app"))
	w.attest(w.bake, image, desc, sign.SPDXPredicate, sbomOf("openssl 3.0.11"))
	w.attest(w.bake, image, desc, sign.TestPredicate, map[string]any{"result": "PASSED", "passedTests": []string{"healthy"}})
	w.attest(w.bake, image, desc, sign.TestPredicate, scanOf("PASSED"))
	w.clock.Add(time.Second)
	return w.image(image, content, w.clock.Now().Format("20060102T150405Z")+"-0123456789ab").Digest
}

func (w *world) sign(key *sign.Signer, image string, desc ocispec.Descriptor) {
	w.Helper()
	if err := key.SignImage(w.Context(), evidenceOf{w.registry}, image, desc); err != nil {
		w.Fatal(err)
	}
}

func (w *world) attest(key *sign.Signer, image string, desc ocispec.Descriptor, predicateType string, predicate any) {
	w.Helper()
	if _, err := key.Attest(w.Context(), evidenceOf{w.registry}, image, desc, predicateType, predicate); err != nil {
		w.Fatal(err)
	}
}

// to promotes and fails the test if that is refused.
func (w *world) to(channel string, d digest.Digest) Promotion {
	w.Helper()
	p, err := w.service.Promote(w.Context(), PromoteRequest{Image: shop, Digest: d, Channel: channel, Reason: "test"})
	if err != nil {
		w.Fatalf("promote %s to %s: %v", d, channel, err)
	}
	return p
}

// holds fails the test unless a channel holds d.
func (w *world) holds(channel string, d digest.Digest) {
	w.Helper()
	st, err := w.service.state(w.Context(), shop)
	if err != nil {
		w.Fatal(err)
	}
	if got := st.Channels[channel].Digest; got != d {
		w.Fatalf("%s holds %q, want %q", channel, got, d)
	}
}

// want fails the test unless err is of a kind and says text.
func want(t testing.TB, err error, kind Kind, text string) *Error {
	t.Helper()
	if KindOf(err) != kind || err != nil && !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q (%s), want %s with %q", err, KindOf(err), kind, text)
	}
	e, _ := err.(*Error)
	return e
}

// scanOf is a scan for secrets with a result.
func scanOf(result string) map[string]any {
	list := "passedTests"
	if result != "PASSED" {
		list = "failedTests"
	}
	return map[string]any{
		"result": result, list: []string{"secrets"},
		"configuration": []any{map[string]any{
			"name": scanName, "digest": map[string]string{"sha256": "0123"},
			"annotations": map[string]any{"exposed": map[string]any{"setuid": []string{"/usr/bin/su"}, "root": true}},
		}},
	}
}

func provenanceOf(image, tier string) map[string]any {
	return map[string]any{
		"buildDefinition": map[string]any{
			"buildType": "urn:kiln:bake:v1", "externalParameters": map[string]any{"image": image, "tier": tier},
		},
		"runDetails": map[string]any{"builder": map[string]any{"id": "https://example.com/builder"}},
	}
}

// sbomOf is an SPDX document that lists packages, such as "openssl 3.0.11".
func sbomOf(packages ...string) map[string]any {
	list := []any{}
	for i, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		list = append(list, map[string]any{
			"SPDXID": fmt.Sprintf("SPDXRef-%d", i), "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION",
			"licenseConcluded": "MIT", "externalRefs": []any{map[string]any{
				"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:deb/debian/" + name + "@" + version,
			}},
		})
	}
	return map[string]any{
		"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "shop",
		"documentNamespace": "https://example.com/shop", "packages": list,
		"creationInfo": map[string]any{"created": "2026-03-01T12:00:00Z", "creators": []string{"Tool: test"}},
	}
}

// evidenceOf lets sign write to a registry.
type evidenceOf struct{ registry.Registry }

func (e evidenceOf) PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	m := registry.Manifest{MediaType: mediaType, Content: content}
	if tag != "" {
		m.Tags = []string{tag}
	}
	return e.PushManifest(ctx, repo, m)
}

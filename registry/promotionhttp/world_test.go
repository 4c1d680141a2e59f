package promotionhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/contentstore"
	"kiln/registry/promotion"
	"kiln/registry/store/filestore"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const shop = "acme/shop"

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

// world is a store with a service over it and a server over that.
type world struct {
	testing.TB
	dir      string
	registry registry.Registry
	service  *promotion.Service
	server   *httptest.Server
	client   *Client
	bake     *sign.Signer // trusted for baking, once something was signed
	promote  *sign.Signer
	stranger *sign.Signer
	log      *bytes.Buffer
	now      time.Time
	on       map[string]string // annotations of the next manifests
}

func newWorld(t testing.TB) *world {
	t.Helper()
	keys, err := testKeys()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		TB: t, dir: t.TempDir(), bake: keys[0], promote: keys[1], stranger: keys[2], log: &bytes.Buffer{},
		now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	fs, err := filestore.Open(context.Background(), w.dir, filestore.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return w.now }
	content := contentstore.New(fs, fs.Pointers(), contentstore.Options{Now: now})
	w.registry = content
	w.service, err = promotion.New(promotion.Config{
		Store: fs, Pointers: fs.Pointers(), Registry: w.registry, Signer: w.promote, Policy: policy.Default(), Now: now,
		Collector: collector{content},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.server = serve(t, Config{Operations: w.service, Log: slog.New(slog.NewTextHandler(w.log, nil))})
	w.client = dial(t, w.server, ClientOptions{})
	return w
}

func serve(t testing.TB, cfg Config) *httptest.Server {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(Loopback(s))
	t.Cleanup(server.Close)
	return server
}

func dial(t testing.TB, s *httptest.Server, opts ClientOptions) *Client {
	t.Helper()
	c, err := NewClient(s.URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) push(image string, content []byte) ocispec.Descriptor {
	w.Helper()
	d := ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
	if err := w.registry.PushBlob(w.Context(), image, d, bytes.NewReader(content)); err != nil {
		w.Fatal(err)
	}
	return d
}

// image stores a manifest without evidence, with the given tags.
func (w *world) image(image, content string, tags ...string) ocispec.Descriptor {
	w.Helper()
	config := w.push(image, []byte(`{"os":"linux","architecture":"amd64","config":{}}`))
	config.MediaType = ocispec.MediaTypeImageConfig
	layer := w.push(image, []byte(content))
	layer.MediaType = ocispec.MediaTypeImageLayer
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer}, Annotations: w.on,
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
	if _, err := w.service.Admit(w.Context(), promotion.RoleBake, w.bake.PublicPEM(), image, "", true); err != nil {
		w.Fatal(err)
	}
	desc := w.image(image, content)
	ev := evidenceOf{w.registry}
	if err := w.bake.SignImage(w.Context(), ev, image, desc); err != nil {
		w.Fatal(err)
	}
	for _, a := range []struct {
		predicateType string
		predicate     map[string]any
	}{
		{sign.ProvenancePredicate, map[string]any{
			"buildDefinition": map[string]any{
				"buildType": "urn:kiln:bake:v1", "externalParameters": map[string]any{"image": image, "tier": "app"},
			},
			"runDetails": map[string]any{"builder": map[string]any{"id": "https://example.com/builder"}},
		}},
		{sign.SPDXPredicate, sbomOf("openssl 3.0.11")},
		{sign.TestPredicate, map[string]any{"result": "PASSED", "passedTests": []string{"healthy"}}},
		{sign.TestPredicate, map[string]any{
			"result": "PASSED", "passedTests": []string{"secrets"}, "configuration": []any{map[string]any{"name": "secret-scan"}},
		}},
	} {
		if _, err := w.bake.Attest(w.Context(), ev, image, desc, a.predicateType, a.predicate); err != nil {
			w.Fatal(err)
		}
	}
	return w.tagged(image, content)
}

// tagged gives what is stored another version tag.
func (w *world) tagged(image, content string) digest.Digest {
	w.Helper()
	w.now = w.now.Add(time.Second)
	return w.image(image, content, w.now.Format("20060102T150405Z")+"-0123456789ab").Digest
}

// damage overwrites the stored bytes of a digest.
func (w *world) damage(d digest.Digest) {
	w.Helper()
	found := false
	err := filepath.WalkDir(filepath.Join(w.dir, "blobs"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, d.Encoded()) {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found = true
		if err := os.Chmod(path, 0o600); err != nil {
			return err
		}
		return os.WriteFile(path, bytes.Replace(content, []byte("linux"), []byte("linuy"), 1)[:len(content)-1], 0o600)
	})
	if err != nil || !found {
		w.Fatalf("damage %s: %v, found %v", d, err, found)
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

// request asks and returns the answer and its body.
func request(t testing.TB, method, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, b.String()
}

// want fails the test unless err is of a kind and says text.
func want(t testing.TB, err error, kind promotion.Kind, text string) *promotion.Error {
	t.Helper()
	e, _ := err.(*promotion.Error)
	if promotion.KindOf(err) != kind || e == nil || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q (%s, %T), want %s with %q", err, promotion.KindOf(err), err, kind, text)
	}
	return e
}

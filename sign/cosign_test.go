//go:build full

package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// cosignVersion is the peer that the formats are those of.
const cosignVersion = "v2.6.5"

// cosignProgram builds the cosign program once per machine.
func cosignProgram(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(cache, "kiln-test", "bin")
	program := filepath.Join(bin, "cosign-"+cosignVersion)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(bin, "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	cmd := exec.Command("go", "install", "github.com/sigstore/cosign/v2/cmd/cosign@"+cosignVersion)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "GOBIN="+tmp, "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build cosign: %v\n%s", err, out)
	}
	if err := os.Rename(filepath.Join(tmp, "cosign"), program); err != nil {
		t.Fatal(err)
	}
	return program
}

// peer is a registry with one image, and cosign beside it.
type peer struct {
	t       *testing.T
	program string
	dir     string
	host    string
	ev      remoteEvidence
	image   ocispec.Descriptor
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	p := &peer{t: t, program: cosignProgram(t), dir: t.TempDir(), host: strings.TrimPrefix(server.URL, "http://")}
	p.ev = remoteEvidence{p.host}
	p.image = p.push(shop)
	p.write("root.json", CosignTrustedRoot)
	return p
}

// push stores a random image.
func (p *peer) push(repo string) ocispec.Descriptor {
	p.t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		p.t.Fatal(err)
	}
	raw, err := img.RawManifest()
	if err != nil {
		p.t.Fatal(err)
	}
	d, mt := digest.FromBytes(raw), ocispec.MediaTypeImageManifest
	ref, err := p.ev.digest(repo, d)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		p.t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: mt, Digest: d, Size: int64(len(raw))}
}

func (p *peer) write(file, content string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, file), []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

func (p *peer) read(file string) []byte {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		p.t.Fatal(err)
	}
	return content
}

// ref is the image as cosign names it.
func (p *peer) ref(repo string, d digest.Digest) string {
	return fmt.Sprintf("%s/%s@%s", p.host, repo, d)
}

// cosign runs the program; it returns its standard output.
func (p *peer) cosign(args ...string) (string, error) {
	cmd := exec.Command(p.program, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "COSIGN_PASSWORD=secret", "no_proxy=*"}
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("cosign %s: %w\n%s", strings.Join(args, " "), err, talk.String())
	}
	return out.String(), nil
}

func (p *peer) mustCosign(args ...string) string {
	p.t.Helper()
	out, err := p.cosign(args...)
	if err != nil {
		p.t.Fatal(err)
	}
	return out
}

// remoteEvidence is evidence in a remote registry.
type remoteEvidence struct{ host string }

func (r remoteEvidence) digest(repo string, d digest.Digest) (name.Digest, error) {
	return name.NewDigest(fmt.Sprintf("%s/%s@%s", r.host, repo, d))
}

// asAbsent makes a 404 match fs.ErrNotExist.
func asAbsent(err error) error {
	var te *transport.Error
	if errors.As(err, &te) && te.StatusCode == http.StatusNotFound {
		return errors.Join(fs.ErrNotExist, err)
	}
	return err
}

func (r remoteEvidence) OpenBlob(ctx context.Context, repo string, d digest.Digest, _, _ int64) (io.ReadCloser, error) {
	ref, err := r.digest(repo, d)
	if err != nil {
		return nil, err
	}
	layer, err := remote.Layer(ref, remote.WithContext(ctx))
	if err != nil {
		return nil, asAbsent(err)
	}
	body, err := layer.Compressed()
	return body, asAbsent(err)
}

func (r remoteEvidence) Manifest(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, []byte, error) {
	ref, err := r.digest(repo, d)
	if err != nil {
		return ocispec.Descriptor{}, nil, err
	}
	got, err := remote.Get(ref, remote.WithContext(ctx))
	if err != nil {
		return ocispec.Descriptor{}, nil, asAbsent(err)
	}
	return ocispec.Descriptor{MediaType: string(got.MediaType), Digest: d, Size: got.Size}, got.Manifest, nil
}

func (r remoteEvidence) Tag(ctx context.Context, repo, tag string) (ocispec.Descriptor, error) {
	ref, err := name.NewTag(fmt.Sprintf("%s/%s:%s", r.host, repo, tag))
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	got, err := remote.Head(ref, remote.WithContext(ctx))
	if err != nil {
		return ocispec.Descriptor{}, asAbsent(err)
	}
	return ocispec.Descriptor{MediaType: string(got.MediaType), Digest: digest.Digest(got.Digest.String()), Size: got.Size}, nil
}

func (r remoteEvidence) Referrers(ctx context.Context, repo string, d digest.Digest, artifactType string) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		ref, err := r.digest(repo, d)
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		index, err := remote.Referrers(ref, remote.WithContext(ctx))
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		manifest, err := index.IndexManifest()
		if err != nil {
			yield(ocispec.Descriptor{}, err)
			return
		}
		for _, m := range manifest.Manifests {
			desc, err := r.describe(ctx, repo, digest.Digest(m.Digest.String()))
			if (err != nil || desc.ArtifactType == artifactType) && !yield(desc, err) {
				return
			}
		}
	}
}

// describe fills in what the test's registry gets wrong: the artifact type.
func (r remoteEvidence) describe(ctx context.Context, repo string, d digest.Digest) (ocispec.Descriptor, error) {
	desc, content, err := r.Manifest(ctx, repo, d)
	if err != nil {
		return desc, err
	}
	var m ocispec.Manifest
	err = json.Unmarshal(content, &m)
	desc.ArtifactType, desc.Annotations = m.ArtifactType, m.Annotations
	return desc, err
}

func (r remoteEvidence) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, body io.Reader) error {
	content, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	ref, err := name.NewRepository(r.host + "/" + repo)
	if err != nil {
		return err
	}
	return remote.WriteLayer(ref, static.NewLayer(content, types.MediaType(desc.MediaType)), remote.WithContext(ctx))
}

// rawManifest is a manifest to be put as it is.
type rawManifest struct {
	mediaType string
	content   []byte
}

func (m rawManifest) RawManifest() ([]byte, error)        { return m.content, nil }
func (m rawManifest) MediaType() (types.MediaType, error) { return types.MediaType(m.mediaType), nil }
func (m rawManifest) Digest() (v1.Hash, error) {
	h, _, err := v1.SHA256(bytes.NewReader(m.content))
	return h, err
}

func (r remoteEvidence) PushEvidence(ctx context.Context, repo, mediaType string, content []byte, tag string) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	ref, err := r.digest(repo, desc.Digest)
	if err != nil {
		return desc, err
	}
	m := rawManifest{mediaType, content}
	if err := remote.Put(ref, m, remote.WithContext(ctx)); err != nil || tag == "" {
		return desc, err
	}
	named, err := name.NewTag(fmt.Sprintf("%s/%s:%s", r.host, repo, tag))
	if err != nil {
		return desc, err
	}
	return desc, remote.Put(named, m, remote.WithContext(ctx))
}

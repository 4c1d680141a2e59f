//go:build full

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/registry"
	"kiln/registry/ociclient"
	"kiln/registry/promotionhttp"
	"kiln/registry/store/s3store/s3test"
)

const (
	replicas     = 3
	replicasTime = 25 * time.Second // of load; KILN_SOAK lengthens it
	promoters    = 4
	pushers      = 3
)

// fleet is some kiln serve on one bucket.
type fleet struct {
	t        *testing.T
	world    *world
	location string
	members  []*member
	versions map[string][]digest.Digest // of each image, signed
	start    time.Time
	kills    int

	moves movesLog
	acks  ackLog
}

// member is one replica, through all its lives.
type member struct {
	cmd   *exec.Cmd
	ended chan struct{}
	now   atomic.Pointer[life] // nil while it is down
	log   string
}

// life is one process of a member.
type life struct {
	api *promotionhttp.Client
	reg registry.Registry
}

// TestReplicas: three kiln serve on one bucket, with promotions and pushes
// through all of them at random, while they are killed and started again and S3
// loses requests and answers. Each channel is linearizable, the ledger has each
// promotion once, and no acknowledged push is lost (FAULTS 38, 41, 42).
func TestReplicas(t *testing.T) {
	f := newFleet(t)
	ctx, cancel := context.WithTimeout(t.Context(), max(replicasTime, soak(t)))
	defer cancel()
	var wg sync.WaitGroup
	for i := range promoters {
		wg.Go(func() { f.promote(ctx, i) })
	}
	for i := range pushers {
		wg.Go(func() { f.push(ctx, i) })
	}
	f.killAtRandom(ctx)
	wg.Wait()
	f.checkChannels()
	f.checkPushes()
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	s, server := inS3(t)
	proxy := s3test.NewProxy(t, server.URL)
	f := &fleet{t: t, world: s.world, location: strings.Replace(s.location, server.URL, proxy.URL, 1), versions: map[string][]digest.Digest{}}
	f.bake(4)
	f.serve()
	proxy.Random(rand.Uint64(), 0.01, s3test.SlowDown, s3test.ResetBefore, s3test.ResetAfter, s3test.ErrorAfter, s3test.HalfAnswer, s3test.Slow)
	f.start = time.Now()
	return f
}

// bake makes some versions of two images.
func (f *fleet) bake(n int) {
	f.t.Helper()
	template := plainProject + strings.ReplaceAll(plainProject[strings.Index(plainProject, "image"):], `"app"`, `"web"`)
	f.write("app/kiln.hcl", template)
	for i := range n {
		f.write("app/files/index.html", fmt.Sprint(i))
		f.world.git("app", "commit", "-qam", fmt.Sprint(i))
		var report bakeReport
		if err := json.Unmarshal(f.world.run("bake", "app", "--key", "bake.key", "--json"), &report); err != nil {
			f.t.Fatal(err)
		}
		for _, img := range report.Images {
			f.versions[img.Image] = append(f.versions[img.Image], img.Digest)
		}
	}
}

// serve starts all replicas.
func (f *fleet) serve() {
	f.t.Helper()
	for i := range replicas {
		m := &member{log: f.world.path(fmt.Sprintf("replica-%d.log", i))}
		f.members = append(f.members, m)
		f.up(m)
	}
	f.t.Cleanup(func() {
		for _, m := range f.members {
			f.down(m)
			if out, err := os.ReadFile(m.log); f.t.Failed() && err == nil {
				f.t.Logf("%s ends:\n%s", m.log, out[max(0, len(out)-4000):])
			}
		}
	})
}

func (f *fleet) write(name, content string) {
	f.t.Helper()
	if err := os.WriteFile(f.world.path(name), []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// up starts a replica and waits for its address.
func (f *fleet) up(m *member) {
	f.t.Helper()
	m.cmd = f.world.command([]string{"KILN_PROMOTION_KEY=" + f.world.path("promote.key")}, "serve", "--listen", "127.0.0.1:0", "--store", f.location)
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		f.t.Fatal(err)
	}
	defer log.Close()
	m.cmd.Stderr = log
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	m.ended = make(chan struct{})
	go func() { defer close(m.ended); _ = m.cmd.Wait() }()
	if err != nil {
		f.t.Fatalf("a replica does not start: %v", err)
	}
	url := strings.TrimSpace(line)
	api, err := promotionhttp.NewClient(url, promotionhttp.ClientOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	reg, err := ociclient.New(url, ociclient.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	m.now.Store(&life{api, reg})
}

// down kills a replica as a power cut would.
func (f *fleet) down(m *member) {
	m.now.Store(nil)
	if m.ended != nil {
		_ = m.cmd.Process.Kill()
		<-m.ended
	}
}

// killAtRandom kills one replica after the other until ctx ends; then all are
// up.
func (f *fleet) killAtRandom(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(500*time.Millisecond + rand.N(1500*time.Millisecond)):
		}
		m := f.members[rand.IntN(len(f.members))]
		f.down(m)
		f.kills++
		time.Sleep(rand.N(300 * time.Millisecond))
		f.up(m)
	}
}

// any is a replica that is up.
func (f *fleet) any(ctx context.Context) *life {
	for ctx.Err() == nil {
		if l := f.members[rand.IntN(len(f.members))].now.Load(); l != nil {
			return l
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// ackLog is what pushes were told.
type ackLog struct {
	mu     sync.Mutex
	pushed []pushed
	failed int
}

// pushed is an image that was pushed; acked if the client was told so.
type pushed struct {
	image    string
	manifest []byte
	digest   digest.Digest
	tagged   bool // latest is to be this
	acked    bool
}

// push pushes images of its own until ctx ends.
func (f *fleet) push(ctx context.Context, pusher int) {
	image := fmt.Sprintf("acme/pushed-%d", pusher)
	for i := 0; ctx.Err() == nil; i++ {
		l := f.any(ctx)
		if l == nil {
			return
		}
		p := pushed{image: image, tagged: i%3 == 0}
		err := p.push(context.WithoutCancel(ctx), l.reg, i)
		p.acked = err == nil
		f.acks.mu.Lock()
		if err != nil {
			f.acks.failed++
		}
		f.acks.pushed = append(f.acks.pushed, p)
		f.acks.mu.Unlock()
	}
}

// push pushes one image of random bytes: a small one, or now and then one that
// S3 takes in parts.
func (p *pushed) push(ctx context.Context, reg registry.Registry, i int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	layer := make([]byte, 1+rand.IntN(100_000))
	if i%20 == 19 {
		layer = make([]byte, 9<<20)
	}
	for j := range layer {
		layer[j] = byte(rand.Uint32())
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	var err error
	if m.Config, err = pushBytes(ctx, reg, p.image, ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","architecture":"amd64"}`)); err != nil {
		return err
	}
	desc, err := pushBytes(ctx, reg, p.image, ocispec.MediaTypeImageLayer, layer)
	if err != nil {
		return err
	}
	m.Layers = []ocispec.Descriptor{desc}
	if p.manifest, err = json.Marshal(m); err != nil {
		return err
	}
	p.digest = digest.FromBytes(p.manifest)
	in := registry.Manifest{MediaType: m.MediaType, Content: p.manifest}
	if p.tagged {
		in.Tags = []string{"latest"}
	}
	_, err = reg.PushManifest(ctx, p.image, in)
	return err
}

func pushBytes(ctx context.Context, reg registry.Registry, image, mediaType string, data []byte) (ocispec.Descriptor, error) {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return desc, reg.PushBlob(ctx, image, desc, bytes.NewReader(data))
}

// checkPushes pulls all that was acknowledged, through any replica.
func (f *fleet) checkPushes() {
	t := f.t
	t.Helper()
	acked := 0
	latest := map[string][]digest.Digest{} // what the tag may be: the last that was acknowledged, and what was tried since
	for _, p := range f.acks.pushed {
		if p.tagged && p.acked {
			latest[p.image] = nil
		}
		if p.tagged && p.digest != "" {
			latest[p.image] = append(latest[p.image], p.digest)
		}
		if !p.acked {
			continue
		}
		acked++
		if err := p.pull(t.Context(), f.any(t.Context()).reg); err != nil {
			t.Errorf("%s@%s was acknowledged: %v", p.image, p.digest, err)
		}
	}
	for image, may := range latest {
		got, err := f.any(t.Context()).reg.Tag(t.Context(), image, "latest")
		if err != nil || !containsDigest(may, got.Digest) {
			t.Errorf("%s:latest is %s, %v, want one of %v", image, got.Digest, err, may)
		}
	}
	t.Logf("%d pushes acknowledged, %d failed, %d kills", acked, f.acks.failed, f.kills)
	if acked < 10 || f.kills < 3 {
		t.Errorf("%d pushes, %d kills: the test tests little", acked, f.kills)
	}
}

func containsDigest(list []digest.Digest, d digest.Digest) bool {
	for _, have := range list {
		if have == d {
			return true
		}
	}
	return false
}

// pull reads manifest and blobs and hashes them.
func (p *pushed) pull(ctx context.Context, reg registry.Registry) error {
	_, content, err := reg.Manifest(ctx, p.image, p.digest)
	if err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return err
	}
	for _, desc := range append(m.Layers, m.Config) {
		rc, err := reg.OpenBlob(ctx, p.image, desc.Digest, 0, -1)
		if err != nil {
			return err
		}
		got, err := digest.FromReader(rc)
		rc.Close()
		if err != nil || got != desc.Digest {
			return fmt.Errorf("blob %s reads as %s, %w", desc.Digest, got, err)
		}
	}
	return nil
}

//go:build full

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pushKills is how often the server is killed in the test command.
const pushKills = 12

// TestKillPush kills kiln serve at random moments of pushes: of blobs at once
// and in chunks, of manifests with version tags and moving ones. After each
// restart all that was acknowledged is there, nothing is there by half, and
// uploads go on where they were (FAULTS 13, 38).
func TestKillPush(t *testing.T) {
	s := &served{world: newWorld(t)}
	s.keys("promote")
	s.start()
	const pushers = 3
	all := make([]*pusher, pushers)
	for i := range all {
		all[i] = &pusher{t: t, id: i}
	}
	begun := time.Now()
	all[0].url = s.url
	if err := all[0].push(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(begun)
	until := time.Now().Add(soak(t))
	struck := 0
	for round := 0; round < pushKills || time.Now().Before(until); round++ {
		ctx, stop := context.WithCancel(t.Context())
		var busy atomic.Int32
		var wg sync.WaitGroup
		for _, p := range all {
			p.url = s.url
			wg.Go(func() { p.pushUntilGone(ctx, &busy) })
		}
		time.Sleep(rand.N(pushers * 2 * whole))
		if busy.Load() > 0 {
			struck++
		}
		s.server.Process.Kill()
		<-s.done
		stop()
		wg.Wait()
		s.start()
		for _, p := range all {
			p.url = s.url
			p.check()
		}
	}
	versions, resumed := 0, 0
	for _, p := range all {
		versions += len(p.tags)
		resumed += p.resumed
	}
	t.Logf("a push takes %s; %d kills struck one; %d versions, %d uploads resumed", whole, struck, versions, resumed)
	if struck < pushKills/2 || versions < pushers || resumed == 0 {
		t.Error("too little was at work")
	}
	s.run("doctor", "--scrub", "--store", s.path("served"))
}

// pusher pushes images of its own repository, one after another, and remembers
// what was acknowledged.
type pusher struct {
	t     *testing.T
	id, n int
	url   string

	blobs   map[digest.Digest]int64  // acknowledged since the last check
	tags    map[string]digest.Digest // acknowledged version tags
	latest  digest.Digest            // acknowledged last for the moving tag
	tried   map[string]digest.Digest // by tag: sent, and not answered
	open    *openUpload
	resumed int
}

// openUpload is an upload whose server went away.
type openUpload struct {
	path  string // of its location
	data  []byte
	acked int // bytes
}

func (p *pusher) repo() string { return fmt.Sprintf("acme/app%d", p.id) }

var errRefused = errors.New("refused")

// send sends a request; errRefused for an answer other than want. Other errors
// mean that there was no whole answer.
func (p *pusher) send(ctx context.Context, method, path string, body []byte, want int, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	if resp.StatusCode != want {
		return resp, fmt.Errorf("%w: %s %s: %s %s", errRefused, method, path, resp.Status, answer)
	}
	return resp, nil
}

// pushUntilGone pushes until the server does not answer.
func (p *pusher) pushUntilGone(ctx context.Context, busy *atomic.Int32) {
	for ctx.Err() == nil {
		busy.Add(1)
		err := p.push(ctx)
		busy.Add(-1)
		if errors.Is(err, errRefused) {
			p.t.Error(err)
		}
		if err != nil {
			return
		}
	}
}

// push pushes one image: its layer in chunks, its config at once.
func (p *pusher) push(ctx context.Context) error {
	p.n++
	config, layer := p.content(200), p.content(1+rand.IntN(2<<20))
	if err := p.chunked(ctx, layer); err != nil {
		return err
	}
	start, err := p.send(ctx, "POST", "/v2/"+p.repo()+"/blobs/uploads/", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	d := digest.FromBytes(config)
	if _, err := p.send(ctx, "PUT", withDigest(start, d), config, http.StatusCreated, "Content-Type", "application/octet-stream"); err != nil {
		return err
	}
	p.ackBlob(d, len(config))
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: d, Size: int64(len(config))},
		Layers: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromBytes(layer), Size: int64(len(layer))}},
	})
	if err != nil {
		return err
	}
	for _, tag := range []string{fmt.Sprintf("20260102T030405Z-%012x", p.n), "latest"} {
		if err := p.manifest(ctx, tag, manifest); err != nil {
			return err
		}
	}
	return nil
}

func (p *pusher) content(size int) []byte {
	head := fmt.Sprintf("%d %d %d ", p.id, p.n, size)
	return append([]byte(head), bytes.Repeat([]byte{byte(p.n)}, size)...)
}

func withDigest(start *http.Response, d digest.Digest) string {
	path := start.Header.Get("Location")
	if i := strings.Index(path, "/v2/"); i > 0 {
		path = path[i:]
	}
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	return path + join + "digest=" + string(d)
}

func (p *pusher) ackBlob(d digest.Digest, size int) {
	if p.blobs == nil {
		p.blobs = map[digest.Digest]int64{}
	}
	p.blobs[d] = int64(size)
}

func (p *pusher) chunked(ctx context.Context, data []byte) error {
	start, err := p.send(ctx, "POST", "/v2/"+p.repo()+"/blobs/uploads/", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	path, _, _ := strings.Cut(withDigest(start, ""), "digest=")
	p.open = &openUpload{path: strings.TrimRight(path, "?&"), data: data}
	for p.open.acked < len(data) {
		next := min(p.open.acked+len(data)/3+1, len(data))
		if err := p.chunk(ctx, next); err != nil {
			return err
		}
	}
	return p.finish(ctx)
}

// chunk sends the bytes up to end; the answer says where to go on.
func (p *pusher) chunk(ctx context.Context, end int) error {
	o := p.open
	resp, err := p.send(ctx, "PATCH", o.path, o.data[o.acked:end], http.StatusAccepted,
		"Content-Type", "application/octet-stream", "Content-Range", fmt.Sprintf("%d-%d", o.acked, end-1))
	if err != nil {
		return err
	}
	path, _, _ := strings.Cut(withDigest(resp, ""), "digest=")
	o.path, o.acked = strings.TrimRight(path, "?&"), end
	return nil
}

func (p *pusher) finish(ctx context.Context) error {
	o, d := p.open, digest.FromBytes(p.open.data)
	join := "?"
	if strings.Contains(o.path, "?") {
		join = "&"
	}
	if _, err := p.send(ctx, "PUT", o.path+join+"digest="+string(d), nil, http.StatusCreated); err != nil {
		return err
	}
	p.ackBlob(d, len(o.data))
	p.open = nil
	return nil
}

func (p *pusher) manifest(ctx context.Context, tag string, content []byte) error {
	d := digest.FromBytes(content)
	if p.tried == nil {
		p.tried, p.tags = map[string]digest.Digest{}, map[string]digest.Digest{}
	}
	p.tried[tag] = d
	if _, err := p.send(ctx, "PUT", "/v2/"+p.repo()+"/manifests/"+tag, content, http.StatusCreated, "Content-Type", ocispec.MediaTypeImageManifest); err != nil {
		return err
	}
	delete(p.tried, tag)
	if tag == "latest" {
		p.latest = d
	} else {
		p.tags[tag] = d
	}
	return nil
}

// check looks for all that was acknowledged, and goes on with the upload that
// the kill interrupted.
func (p *pusher) check() {
	ctx := p.t.Context()
	for d, size := range p.blobs {
		resp, err := p.send(ctx, "HEAD", "/v2/"+p.repo()+"/blobs/"+string(d), nil, http.StatusOK)
		if err != nil || resp.ContentLength != size {
			p.t.Errorf("acknowledged blob of %d bytes: %v", size, err)
		}
	}
	p.blobs = nil
	for tag, want := range p.tags {
		p.checkTag(tag, want)
	}
	for tag, maybe := range p.tried {
		if tag == "latest" {
			// What a killed server did without an answer holds from now on.
			p.latest = p.checkTag(tag, p.latest, maybe)
		} else if _, err := p.send(ctx, "GET", "/v2/"+p.repo()+"/manifests/"+tag, nil, http.StatusNotFound); err != nil {
			p.checkTag(tag, maybe)
			p.tags[tag] = maybe
		}
		delete(p.tried, tag)
	}
	if p.open != nil {
		p.resume(ctx)
	}
}

// checkTag: the tag names one of these, which it returns, and that is whole.
// Where the first is "" nothing was acknowledged, and there may be none.
func (p *pusher) checkTag(tag string, want ...digest.Digest) digest.Digest {
	p.t.Helper()
	resp, err := p.send(p.t.Context(), "GET", "/v2/"+p.repo()+"/manifests/"+tag, nil, http.StatusOK)
	if err != nil {
		if want[0] != "" {
			p.t.Errorf("tag %s: %v", tag, err)
		}
		return want[0]
	}
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	got := digest.FromBytes(content)
	for _, d := range want {
		if d == got {
			return got
		}
	}
	p.t.Errorf("tag %s is %s, want one of %s", tag, got, want)
	return want[0]
}

// resume asks how far the upload came: no less than was acknowledged. Then it
// sends the rest.
func (p *pusher) resume(ctx context.Context) {
	o, d := p.open, digest.FromBytes(p.open.data)
	resp, err := p.send(ctx, "GET", o.path, nil, http.StatusNoContent)
	end := -1
	if err == nil {
		_, err = fmt.Sscanf(resp.Header.Get("Range"), "0-%d", &end)
	}
	if err != nil || end == 0 && o.acked > 0 {
		// It may have been finished without an answer: then it is empty again,
		// or unknown.
		if _, gone := p.send(ctx, "HEAD", "/v2/"+p.repo()+"/blobs/"+string(d), nil, http.StatusOK); gone != nil {
			p.t.Errorf("upload with %d of %d bytes acknowledged is gone: %v, %v", o.acked, len(o.data), err, gone)
		}
		p.open = nil
		return
	}
	if end+1 < o.acked {
		p.t.Errorf("the upload has %d bytes, %d were acknowledged", end+1, o.acked)
	}
	path, _, _ := strings.Cut(withDigest(resp, ""), "digest=")
	o.path = strings.TrimRight(path, "?&")
	if o.acked = end + 1; end == 0 {
		o.acked = 0 // nothing and one byte look the same
	}
	if o.acked < len(o.data) {
		err = p.chunk(ctx, len(o.data))
	}
	if err == nil {
		err = p.finish(ctx)
	}
	if err != nil {
		p.t.Errorf("resumed at %d of %d: %v", o.acked, len(o.data), err)
	}
	p.open = nil
	p.resumed++
}

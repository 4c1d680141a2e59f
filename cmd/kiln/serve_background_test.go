package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"kiln/registry/promotion"
	"kiln/registry/store"
)

// TestTasks: a task that fails or panics is told, and runs again; all end with
// the server.
func TestTasks(t *testing.T) {
	out, m := &lines{}, newServeMetrics()
	ctx, end := context.WithCancel(t.Context())
	var runs atomic.Int64
	wait := background(ctx, []task{{"bad", time.Millisecond, func(context.Context) error {
		switch runs.Add(1) {
		case 1:
			panic("a bug")
		case 2:
			return errors.New("not now")
		}
		return nil
	}}, {"long", time.Millisecond, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}}}, newLog(out, logConfig{}), m)
	eventually(t, "a third run", func() bool { return runs.Load() > 3 })
	end()
	wait()
	for _, want := range []string{"a bug", "serve_background_test.go", "not now"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), "long") {
		t.Errorf("the end is no failure:\n%s", out)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "kiln_task_runs_total" && f.Metric[0].Counter.GetValue() != 2 {
			t.Errorf("%v failures, want 2", f.Metric[0].Counter.GetValue())
		}
	}
}

func TestDue(t *testing.T) {
	issued := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	expires := issued.Add(24 * time.Hour)
	c := promotion.Channel{Issued: &issued, Expires: &expires}
	for after, want := range map[time.Duration]bool{0: false, 12*time.Hour - 1: false, 12 * time.Hour: true, 48 * time.Hour: true} {
		if got := isDue(c, issued.Add(after)); got != want {
			t.Errorf("after %v: %v", after, got)
		}
	}
	c.Revoked = true
	if isDue(c, expires) || isDue(promotion.Channel{}, expires) {
		t.Error("a revoked or an empty channel is due")
	}
}

// TestUpkeep: a server renews statements that are due and no others, removes
// what expired and collects what nothing reaches, by itself.
func TestUpkeep(t *testing.T) {
	p := newPlace(t)
	p.kiln(exitDone, "--store", p.path("store"), "bake", p.path("app"), "--promote", "dev", "--promotion-key", p.path("promote.key"))
	a := &app{stdio: stdio{out: io.Discard, err: io.Discard}, store: p.path("store"), getenv: func(string) string { return "" }}
	cfg, err := a.serveConfig(serveFlags{promotionKey: p.path("promote.key"), store: true})
	if err != nil {
		t.Fatal(err)
	}
	cfg.collection = collectionConfig{every: time.Hour, grace: time.Second}
	s, err := a.newServer(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	u := &upkeep{backend: s.backend, cfg: cfg, log: s.log, metrics: s.metrics}
	if n := len(u.tasks()); n != 3 {
		t.Errorf("%d tasks, want 3", n)
	}
	expires := func() time.Time {
		list, err := s.backend.ops.Channels(t.Context(), promotion.ChannelsRequest{Image: "acme/files"})
		if err != nil {
			t.Fatal(err)
		}
		return *list.Channels[0].Expires
	}
	// The bake, an embedded store, issued for 30 days: nothing is due.
	before := expires()
	if err := u.renew(t.Context()); err != nil || !expires().Equal(before) {
		t.Errorf("%v: renewed before it is due", err)
	}
	content := "nothing reaches this"
	d := digest.FromString(content)
	rec := newRecorder()
	req := newRequest("POST", "/v2/acme/files/blobs/uploads/?digest="+d.String())
	req.Host, req.Body, req.ContentLength = "localhost", io.NopCloser(strings.NewReader(content)), int64(len(content))
	s.main.ServeHTTP(rec, req)
	if rec.Code != http.StatusCreated {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	gone := func() bool {
		if err := u.collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := s.backend.storage.Stat(t.Context(), store.BlobKey(d)) // asking the registry would rescue it
		return errors.Is(err, store.ErrNotFound)
	}
	for range 100 {
		if gone() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !gone() {
		t.Error("what nothing reaches stays")
	}
	if _, err := s.backend.ops.Resolve(t.Context(), promotion.ResolveRequest{Image: "acme/files", Channel: "dev"}); err != nil {
		t.Errorf("after a collection: %v", err)
	}
	if err := u.pruneUploads(t.Context()); err != nil {
		t.Error(err)
	}
}

// readOnlyPointers takes no writes.
type readOnlyPointers struct{ store.Pointers }

func (readOnlyPointers) Swap(context.Context, store.Pointer, []byte) (store.Pointer, error) {
	return store.Pointer{}, store.ErrReadOnly
}

func (readOnlyPointers) Delete(context.Context, store.Pointer) error { return store.ErrReadOnly }

// TestUpkeepReadOnly: on a store that takes no writes there is nothing to do,
// and nothing to complain about each hour.
func TestUpkeepReadOnly(t *testing.T) {
	r := startServe(t, "", nil)
	u := &upkeep{backend: r.backend, cfg: r.cfg, log: r.log, metrics: r.metrics}
	if err := u.unlessReadOnly(store.ErrReadOnly); err != nil {
		t.Error(err)
	}
	if err := u.unlessReadOnly(store.ErrConflict); err == nil {
		t.Error("other errors are lost")
	}
	ready := &readiness{pointers: readOnlyPointers{r.backend.storage.Pointers}, log: r.log}
	if err := ready.check(t.Context()); err != nil {
		t.Errorf("a store that can be read is not ready: %v", err)
	}
}

// TestReady: a store that is gone, and one that is back.
func TestReady(t *testing.T) {
	r := startServe(t, "", nil)
	if resp, _ := r.do("GET", readyPath); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s", resp.Status)
	}
	moved := filepath.Join(r.dir, "elsewhere")
	if err := os.Rename(r.cfg.store, moved); err != nil {
		t.Fatal(err)
	}
	eventually(t, "503", func() bool {
		resp, body := r.do("GET", readyPath)
		if strings.Contains(body, r.dir) {
			t.Errorf("a stranger learns a path: %s", body)
		}
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if resp, _ := r.do("GET", healthPath); resp.StatusCode != http.StatusOK {
		t.Errorf("the process lives: %s", resp.Status)
	}
	if err := os.Rename(moved, r.cfg.store); err != nil {
		t.Fatal(err)
	}
	eventually(t, "200", func() bool { resp, _ := r.do("GET", readyPath); return resp.StatusCode == http.StatusOK })
	if n := strings.Count(r.lines.String(), "not ready"); n != 1 || !strings.Contains(r.lines.String(), "ready again") {
		t.Errorf("%d lines about it:\n%s", n, r.lines)
	}
}

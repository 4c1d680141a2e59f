//go:build full

package main

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kiln/registry/promotion"
)

// kills is how many bakes and promotions are killed in the test command;
// KILN_SOAK asks for as many as its time allows.
const kills = 50

// TestKill kills kiln at random moments of a bake with promotion. After each
// kill every visible version is signed and the store is whole, and the next
// bake is right.
func TestKill(t *testing.T) {
	w := newWorld(t)
	w.keys("bake", "promote")
	w.env = append(w.env, "KILN_KEY="+w.path("bake.key"), "KILN_PROMOTION_KEY="+w.path("promote.key"))
	w.commit("shop")
	w.run("bake", "shop", "--promote", "dev") // warms the cache
	w.change("warm")
	start := time.Now()
	w.oneLayer(w.run("bake", "shop", "--promote", "dev", "--json"))
	whole := time.Since(start)
	t.Logf("a warm bake with promotion takes %s", whole)

	until := time.Now().Add(soak(t))
	killed := 0
	for round := 0; round < kills || time.Now().Before(until); round++ {
		w.change(time.Now().String())
		if w.killWithin(whole * 5 / 4) {
			killed++
		}
		w.allSigned()
		if round%10 == 9 {
			w.run("doctor", "--scrub")
		}
	}
	t.Logf("%d of the runs were still at work when they were killed", killed)
	if killed < kills/3 {
		t.Errorf("only %d kills struck a running kiln", killed)
	}
	w.finalBake()
}

// oneLayer: a change to one file of the app makes one layer, and leaves what
// the app stands on alone.
func (w *world) oneLayer(out []byte) {
	w.t.Helper()
	var report bakeReport
	if err := json.Unmarshal(out, &report); err != nil {
		w.t.Fatal(err)
	}
	for _, img := range report.Images {
		fresh := 0
		for _, l := range img.Layers {
			if !l.Cached {
				fresh++
			}
		}
		if app := img.Image == "acme/shop"; img.Built != app || (app && (fresh != 1 || len(img.Layers) != 1)) || (!app && fresh != 0) {
			w.t.Errorf("after a change to one file: %+v", img)
		}
	}
}

// soak reads KILN_SOAK, a duration.
func soak(t *testing.T) time.Duration {
	text := os.Getenv("KILN_SOAK")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// change commits a change to the app.
func (w *world) change(text string) {
	w.t.Helper()
	appendTo(w.t, w.path("shop", "app", "server.js"), "// "+text+"\n")
	w.commit("shop")
}

// killWithin starts a bake with promotion and kills it, telling whether it was
// still running.
func (w *world) killWithin(most time.Duration) bool {
	w.t.Helper()
	cmd := w.command(nil, "bake", "shop", "--promote", "dev")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(rand.N(most))
	struck := cmd.Process.Kill() == nil
	err := cmd.Wait()
	var exit *exec.ExitError
	return struck && errors.As(err, &exit) && !exit.Exited()
}

// allSigned verifies every visible version of the app, and what dev holds.
func (w *world) allSigned() {
	w.t.Helper()
	var list promotion.Versions
	if err := json.Unmarshal(w.run("versions", "acme/shop", "--json", "--limit", "3"), &list); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range list.Versions {
		w.run("verify", "acme/shop@"+string(v.Digest), "--key", "bake.pub")
	}
	w.run("resolve", "acme/shop", "--channel", "dev", "--verify-key", "bake.pub", "--promotion-key", "promote.pub")
}

// finalBake bakes undisturbed and looks whether the outcome is that of a fresh
// store and cache.
func (w *world) finalBake() {
	w.t.Helper()
	got := w.digests(w.run("bake", "shop", "--promote", "dev", "--json"))
	ref := strings.TrimSpace(string(w.run("resolve", "acme/shop", "--channel", "dev",
		"--verify-key", "bake.pub", "--promotion-key", "promote.pub", "--format", "ref")))
	if ref != "acme/shop@"+got["acme/shop"] {
		w.t.Errorf("dev is %s, baked was %s", ref, got["acme/shop"])
	}
	fresh := w.other(w.t, "fresh")
	fresh.env = append(fresh.env, "KILN_KEY=")
	want := w.digests(w.must(fresh.command(nil, "bake", "shop", "--json")))
	if want["acme/shop"] != got["acme/shop"] {
		w.t.Errorf("after the kills the app is %s, from a fresh cache %s", got["acme/shop"], want["acme/shop"])
	}
	w.run("doctor", "--scrub")
}

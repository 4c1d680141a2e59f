package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const denyAll = "package kiln\n\ndeny contains \"no\" if true\n"

// policyFolder is a folder of policies, watched by a server that is none.
func policyFolder(t *testing.T) (p *servedPolicy, write func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	write = func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one.rego", denyAll)
	a := &app{stdio: stdio{out: io.Discard, err: io.Discard}, getenv: func(string) string { return "" }}
	st, err := a.openStorage(t.Context(), t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	cfg := policyConfig{builtin: true, files: []string{dir}}
	p = watchPolicy(cfg, slog.New(slog.DiscardHandler), newServeMetrics())
	gate, err := cfg.composeIn(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	if p.backend, err = buildBackend(st, backendOptions{policy: gate}); err != nil {
		t.Fatal(err)
	}
	p.current = p.backend.service.Policy()
	t.Cleanup(func() { p.backend.Close() })
	return p, write
}

// A change is in force once nobody has touched the files for a look; what is
// broken leaves what was there in force.
func TestPolicyReload(t *testing.T) {
	p, write := policyFolder(t)
	look := func(what string, must bool, changes bool) {
		t.Helper()
		before := p.backend.service.Policy().Digest()
		p.reload(t.Context(), must)
		after := p.backend.service.Policy().Digest()
		if after != p.current.Digest() || (after != before) != changes {
			t.Errorf("%s: from %s to %s", what, before, after)
		}
	}
	look("nothing changed", false, false)
	look("asked to, and nothing changed", true, false)
	write("two.rego", "package kiln\n\ndeny contains \"neither\" if true\n")
	look("a file that is just there", false, false)
	write("two.rego", "package kiln\n\ndeny contains \"nor this\" if true\n")
	look("it changes again", false, false)
	look("it is left alone", false, true)
	look("nothing changed since", false, false)
	write("two.rego", "package kiln\n\ndeny contains broken")
	look("broken, at once", true, false)
	look("broken", false, false)
	look("still broken", false, false)
	write("two.rego", denyAll+"\n")
	look("asked to", true, true)
	if err := os.Remove(filepath.Join(p.cfg.files[0], "two.rego")); err != nil {
		t.Fatal(err)
	}
	look("a file less", false, false)
	look("a file less for good", false, true)
	if err := os.RemoveAll(p.cfg.files[0]); err != nil {
		t.Fatal(err)
	}
	look("no folder", false, false)
	look("no folder any more", false, false)
}

// Files that were put in the place of others are seen though their size and time
// are the same; what else comes into the folder is none of the policy.
func TestPolicyMarks(t *testing.T) {
	p, write := policyFolder(t)
	dir := p.cfg.files[0]
	rules := filepath.Join(dir, "one.rego")
	then := time.Unix(1, 0)
	set := func(name, text string) string {
		write(name, text)
		if err := os.Chtimes(filepath.Join(dir, name), then, then); err != nil {
			t.Fatal(err)
		}
		return policyMarks(p.cfg.files)
	}
	first := set("one.rego", denyAll)
	set("one.new", strings.Replace(denyAll, "no", "NO", 1))
	if got := policyMarks(p.cfg.files); got != first {
		t.Errorf("%q became %q with a file that does not count", first, got)
	}
	if err := os.Rename(filepath.Join(dir, "one.new"), rules); err != nil {
		t.Fatal(err)
	}
	if policyMarks(p.cfg.files) == first {
		t.Error("another file looks the same")
	}
	if err := os.Remove(rules); err != nil {
		t.Fatal(err)
	}
	gone := policyMarks(p.cfg.files)
	if err := os.Symlink("nowhere", rules); err != nil {
		t.Fatal(err)
	}
	if gone == first || policyMarks(p.cfg.files) == gone {
		t.Error("no file, and one that cannot be read, look the same")
	}
}

// What could not be read though it may be right is tried again.
func TestPolicyIsTriedAgain(t *testing.T) {
	p, write := policyFolder(t)
	rules := filepath.Join(p.cfg.files[0], "two.rego")
	if err := os.Symlink("elsewhere/two.rego", rules); err != nil {
		t.Fatal(err)
	}
	first := p.current.Digest()
	p.reload(t.Context(), true)
	if p.current.Digest() != first || p.again.IsZero() {
		t.Fatalf("%s, again %s", p.current.Digest(), p.again)
	}
	if err := os.Remove(rules); err != nil {
		t.Fatal(err)
	}
	write("two.rego", strings.Replace(denyAll, "no", "neither", 1))
	p.seen = policyMarks(p.cfg.files) // as if it had looked so all the time
	p.reload(t.Context(), false)
	if p.current.Digest() != first {
		t.Error("tried again at once")
	}
	p.again = time.Now().Add(-time.Second)
	p.reload(t.Context(), false)
	if p.current.Digest() == first || !p.again.IsZero() {
		t.Errorf("not taken: again %s", p.again)
	}
}

// A server that ends takes no policy, and does not say that it is broken.
func TestPolicyOfAServerThatEnds(t *testing.T) {
	p, write := policyFolder(t)
	first := p.current.Digest()
	write("two.rego", strings.Replace(denyAll, "no", "neither", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.reload(ctx, true)
	if p.current.Digest() != first || !p.again.IsZero() {
		t.Errorf("%s, again %s", p.current.Digest(), p.again)
	}
}

// A server takes a changed policy by itself, and says so.
func TestServeReloadsPolicy(t *testing.T) {
	r := startServe(t, "policy {\n  files = [\"rules.rego\"]\n}\n", map[string]string{"rules.rego": denyAll})
	if err := os.WriteFile(filepath.Join(r.dir, "rules.rego"), []byte(denyAll+"\n# as before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new policy", func() bool {
		return strings.Contains(r.lines.String(), "policy loaded: it gates promotions from now on")
	})
	if n := r.scrape()[`kiln_policy_reloads_total{result="ok"}`]; n != "1" {
		t.Errorf("%s reloads", n)
	}
}

package bake

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/bake/template"
)

func TestWhatChanged(t *testing.T) {
	vals := func(kv ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	for _, c := range []struct {
		old, now made
		want     string
	}{
		{made{Files: vals("app/a.js", "1", "app/b.js", "1")}, made{Files: vals("app/a.js", "1", "app/b.js", "2")}, "app/b.js changed"},
		{made{Files: vals("a", "1", "b", "1")}, made{Files: vals("b", "2", "c", "1")}, "b changed, c is new, a is gone"},
		{made{}, made{Files: vals("a", "1", "b", "1", "c", "1", "d", "1", "e", "1")}, "a is new, b is new, c is new, and 2 more changes"},
		{made{Values: vals("command", "1")}, made{Values: vals("command", "2")}, "the command changed"},
		{made{Values: vals("variable A", "1")}, made{Values: vals("variable B", "1")}, "the variable B is new, the variable A is gone"},
		{
			made{Chain: []string{"x"}, Parent: "acme/base", Digest: "1", Below: vals("openssl", "3.0.11", "gone", "1")},
			made{Chain: []string{"y"}, Parent: "acme/base", Digest: "2", Below: vals("openssl", "3.0.15", "new", "1")},
			"its parent changed (packages: openssl 3.0.11 -> 3.0.15, +new, -gone)",
		},
		{made{Chain: []string{"x"}, Digest: "1"}, made{Chain: []string{"y"}, Digest: "2"}, "its parent changed"},
		{made{Chain: []string{"x"}, Parent: "acme/base", Digest: "1"}, made{Chain: []string{"y"}, Parent: "acme/other", Digest: "2"}, "its parent is acme/other now, it was acme/base"},
		{made{Chain: []string{"x", "1"}, Digest: "1"}, made{Chain: []string{"x", "2"}, Digest: "1"}, "a step before it changed"},
		{
			made{Packages: vals("bar", "1", "baz", "1")}, made{Packages: vals("bar", "2", "foo", "1", "baz", "1")},
			"the lock's package list changed: bar 1 -> 2, +foo",
		},
		{made{Files: vals("a", "1"), Places: "1"}, made{Files: vals("a", "1"), Places: "2"}, "its files land elsewhere: folders or symlinks below changed"},
		{made{Files: vals("a", "1"), Places: "1"}, made{Files: vals("a", "1"), Places: "1"}, ""},
	} {
		if got := listed(c.now.since(c.old)); got != c.want {
			t.Errorf("%+v after %+v: %q, want %q", c.now, c.old, got, c.want)
		}
	}
}

// reasons are what a plan says of an image's steps.
func (k *baking) reasons(t *testing.T, image string) string {
	t.Helper()
	builder, err := NewBuilder(BuilderOptions{Cache: k.cache})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := builder.Plan(t.Context(), k.recipe.Images)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, p := range plan {
		for _, s := range p.Steps {
			if p.Image == "acme/"+image {
				list = append(list, s.Reason)
			}
		}
	}
	return strings.Join(list, "; ")
}

func TestPlanExplains(t *testing.T) {
	k := newBaking(t, family, 2)
	is := func(image, want string) {
		t.Helper()
		if got := k.reasons(t, image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
	is("one", neverBuilt)
	is("onetop", "its parent acme/one is built first")
	if _, err := k.bake(t.Context(), &stage{}); err != nil {
		t.Fatal(err)
	}
	is("one", foundHere)
	is("onetop", foundHere)
	k.write(t, "one", "changed")
	is("one", "one changed")
	is("two", foundHere)
	k.write(t, "one", "one")
	is("one", foundHere)

	// The same files at another place are another step.
	k.recipe.Images[0].Steps[0].(*template.Copy).Target = "/elsewhere"
	is("one", stepIsNew)
	k.recipe.Images[0].Steps[0].(*template.Copy).Target = "/one"

	blobs, err := os.ReadDir(k.cache.path("blobs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range blobs {
		if err := os.Remove(k.cache.path("blobs", e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	is("one", layerIsGone)
}

// What a bake reports of a step that it made says why, too, and of states that
// it goes back and forth between, the nearest counts.
func TestReasonOfWhatWasMade(t *testing.T) {
	k := newBaking(t, family, 1)
	if err := errors.Join(os.Remove(filepath.Join(k.dir, "one")), os.Mkdir(filepath.Join(k.dir, "one"), 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ a, b, want string }{
		{"1", "1", neverBuilt},
		{"2", "2", "one/a changed, one/b changed"},
		{"1", "3", "one/b changed"}, // since the first
		{"1", "3", foundHere},
	} {
		k.write(t, "one/a", c.a)
		k.write(t, "one/b", c.b)
		k.events = nil
		if _, err := k.bake(t.Context(), &stage{}); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range k.events {
			if e.Type == StepFinished && e.Image == "acme/one" {
				got = e.Reason
			}
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// No value of a variable, least of all a secret one, lies in the cache; of a
// secret not even a hash, which could be guessed from.
func TestExplanationsKeepNoSecret(t *testing.T) {
	b := &Builder{}
	run := &template.Run{Command: []string{"make"}, Secret: []string{"TOKEN"}}
	one := b.runMade(nil, run, []string{"TOKEN=hunter2", "MODE=fast"}, nil)
	two := b.runMade(nil, run, []string{"TOKEN=hunter3", "MODE=slow"}, nil)
	if got := listed(two.since(one)); got != "the variable MODE changed" {
		t.Errorf("%q", got)
	}
	for _, v := range one.Values {
		if strings.Contains(v, "fast") || strings.Contains(v, "hunter2") {
			t.Errorf("a value is kept: %q", v)
		}
	}
	if one.Values["variable TOKEN"] != printOf("") {
		t.Error("a secret's hash is kept")
	}
}

// Prints survive their encoding, and those that earlier kilns wrote are read.
func TestFilePrints(t *testing.T) {
	for _, want := range []filePrints{nil, {}, {"a": printOf(1), "b c/d 12 é\"\n": printOf(2), "": printOf(3), "12 a": printOf(4)}} {
		whole, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		old, err := json.Marshal(map[string]string(want))
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{whole, old} {
			var got filePrints
			if err := json.Unmarshal(data, &got); err != nil || !maps.Equal(got, want) {
				t.Errorf("%s: %v, %v, want %v", data, got, err, want)
			}
		}
	}
	for _, bad := range []string{`"x"`, `"5 a"`, `"-1 aaaaaaaaaaaaa"`, `"99999999999999999999 a"`, `"1 a"`, `7`} {
		var got filePrints
		if json.Unmarshal([]byte(bad), &got) == nil {
			t.Errorf("%s is read as %v", bad, got)
		}
	}
}

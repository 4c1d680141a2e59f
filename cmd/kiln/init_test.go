//go:build full

package main

import (
	"testing"

	"kiln/templates"
)

// TestInitBakes: a project that kiln init made bakes at once, its own tests
// included, and shares its images with no other.
func TestInitBakes(t *testing.T) {
	w := newWorld(t)
	for _, name := range templates.Names() {
		w.run("init", "my-"+name, "--template", name)
		got := w.digests(w.run("bake", "my-"+name, "--json"))
		if got["my-"+name+"/app"] == "" {
			t.Errorf("%s: baked %v, no app", name, got)
		}
	}
}

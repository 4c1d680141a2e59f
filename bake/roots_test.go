package bake

import (
	"os"
	"path/filepath"
	"testing"
)

// A layer that was unpacked before the host started again is unpacked anew.
func TestTreesOfOneStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "boot_id")
	seen := map[string]bool{}
	for _, id := range []string{"5f3c2a10-9b1e-4c5d-8e7f-0123456789ab\n", "77aa2a10-9b1e-4c5d-8e7f-0123456789ab\n"} {
		if err := os.WriteFile(file, []byte(id), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := sinceStart(file); got != id[:8] || seen[got] {
			t.Errorf("%q: %q", id, got)
		}
		seen[sinceStart(file)] = true
	}
	if got := sinceStart(file + ".none"); got != "" {
		t.Errorf("without a file: %q", got)
	}
	if form := builder(t, BuilderOptions{}).treeForm(); filepath.Base(form) != form || len(form) < len("root-12345678") {
		t.Errorf("form %q", form)
	}
}

package layers

import (
	"os"
	"path/filepath"
	"testing"
)

// A file that changed in /tmp must not leave /tmp to be implied: docker and
// podman would make it 0755.
func TestDiffParents(t *testing.T) {
	lower, upper := t.TempDir(), t.TempDir()
	for _, root := range []string{lower, upper} {
		for dir, mode := range map[string]os.FileMode{"tmp": os.ModeSticky | 0o777, "tmp/usual": 0o755, "root": 0o700} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(root, dir), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(upper, "tmp", "usual", "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	list, err := Diff(upper, []string{lower}, TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() != 0 {
		list = withoutOwners(list) // folders of others are listed too
	}
	if len(list) != 2 || list[0].Path != "tmp" || list[0].Mode != 0o1777 {
		t.Errorf("%+v", list)
	}
}

// withoutOwners drops folders that are listed for their owner alone.
func withoutOwners(list []Entry) []Entry {
	var kept []Entry
	for _, e := range list {
		if e.Path != "tmp/usual" {
			kept = append(kept, e)
		}
	}
	return kept
}

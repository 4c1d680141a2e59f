package bake

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLimitsOf: a large file system keeps 64 MiB for others, a small one less
// than it has.
func TestLimitsOf(t *testing.T) {
	if free := limitsOf("/nothing").MinFreeBytes; free != spareBytes {
		t.Errorf("nowhere: %d", free)
	}
	dir, err := os.MkdirTemp("", "small")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if free := limitsOf(dir).MinFreeBytes; free != 1<<20 {
		t.Errorf("on 32 MiB: %d", free)
	}
}

package filestore

import (
	"bytes"
	"io"
	"os"
	"syscall"
	"testing"
)

// TestReservedRoomIsGivenBack: what was reserved on the disk and not written
// does not stay with a file, also not with an upload, which nobody fsyncs
// before it becomes a blob (FAULTS 39).
func TestReservedRoomIsGivenBack(t *testing.T) {
	s := mustOpen(t, t.TempDir())
	data := make([]byte, reserveFirst+largeBuffer)
	for _, key := range []string{"uploads/x/chunk", "blobs/whole"} {
		if err := s.Put(t.Context(), key, struct{ io.Reader }{bytes.NewReader(data)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Copy(t.Context(), "uploads/x/chunk", "blobs/copied"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"uploads/x/chunk", "blobs/whole", "blobs/copied"} {
		info, err := os.Stat(s.path(key, kindObject))
		if err != nil {
			t.Fatal(err)
		}
		if room := info.Sys().(*syscall.Stat_t).Blocks * 512; room > int64(len(data))+1<<20 {
			t.Errorf("%s of %d bytes takes %d", key, len(data), room)
		}
	}
}

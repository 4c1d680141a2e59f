package filestore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotLocal: locks and renames are not to be relied on there. Put the store
// on a local file system, or use S3.
var ErrNotLocal = errors.New("not a local file system")

// remote has the magic numbers of statfs(2) that kernels give for file systems
// of another machine, and for FUSE, which hides what is behind it.
var remote = map[uint32]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xfe534d42: "smb2",
	0xff534d42: "cifs",
	0x01021997: "9p",
	0x5346414f: "afs",
	0x6b414653: "afs",
	0x00c36400: "ceph",
	0x73757245: "coda",
	0x564c:     "ncp",
	0x01161970: "gfs2",
	0x7461636f: "ocfs2",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x65735546: "fuse",
}

// Check refuses, with ErrNotLocal, a folder that a store must not be in. Of a
// folder that does not exist yet it checks the nearest one that does.
func Check(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var st unix.Statfs_t
	for {
		err = unix.Statfs(dir, &st)
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if err != nil {
		return fmt.Errorf("statfs %s: %w", dir, err)
	}
	return checkMagic(dir, uint32(st.Type))
}

func checkMagic(dir string, magic uint32) error {
	if name, ok := remote[magic]; ok {
		return fmt.Errorf("%s is on %s: %w", dir, name, ErrNotLocal)
	}
	return nil
}

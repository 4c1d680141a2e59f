package bake

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// writeItem puts one item on the disk, as the image would have it.
func writeItem(root *os.Root, name string, it item) error {
	switch it.Kind {
	case tar.TypeDir:
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case tar.TypeSymlink:
		if err := root.Symlink(it.Link, name); err != nil {
			return err
		}
		return root.Lchown(name, it.UID, it.GID)
	case tar.TypeReg:
		if err := writeRegular(root, name, it); err != nil {
			return err
		}
	default:
		return fmt.Errorf("is neither file, folder nor symlink")
	}
	if err := root.Lchown(name, it.UID, it.GID); err != nil {
		return err
	}
	if err := root.Chmod(name, fileMode(it.Mode)); err != nil {
		return err
	}
	return root.Chtimes(name, Epoch, Epoch)
}

func writeRegular(root *os.Root, name string, it item) error {
	in, err := it.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// fileMode is POSIX permission bits as Go has them.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}

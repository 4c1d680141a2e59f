package debian

import (
	"archive/tar"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// times finds the shipped files and links that nothing has touched since they
// were unpacked: content, and with it size and modification time, are the
// package's.
func (j *job) times() map[string]time.Time {
	out := map[string]time.Time{}
	for at, n := range j.shipped {
		if n.typ == tar.TypeDir {
			continue
		}
		ship := n
		if n.typ == tar.TypeLink {
			if ship = j.shipped[n.link]; ship == nil {
				continue
			}
		}
		mtime := clamped(ship.mtime, j.Timestamp)
		if untouched(filepath.Join(j.Upper, at), ship, mtime) {
			out[at] = mtime
		}
	}
	return out
}

func untouched(name string, n *node, mtime time.Time) bool {
	info, err := os.Lstat(name)
	if err != nil {
		return false
	}
	if n.typ == tar.TypeSymlink {
		link, err := os.Readlink(name)
		return err == nil && info.Mode()&fs.ModeSymlink != 0 && link == n.link
	}
	return info.Mode().IsRegular() && info.Size() == n.size && info.ModTime().Equal(mtime)
}

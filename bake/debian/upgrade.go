package debian

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path"
)

// upgradeDir is where .debs wait, inside the tree, for the tree's dpkg.
const upgradeDir = "var/cache/kiln-upgrade"

// upgrade hands packages of which the tree has another version to its dpkg,
// which knows how to replace one by the other. They are configured with the
// new packages, which they may need.
func (j *job) upgrade(ctx context.Context, set []*contents) error {
	_, w, err := j.plan(nil, false)
	if err != nil {
		return err
	}
	defer w.root.Close()
	if err := w.ensureDir(upgradeDir); err != nil {
		return err
	}
	defer w.root.RemoveAll(upgradeDir)
	args := []string{"--unpack", "--force-depends"}
	for i, c := range set {
		name := path.Join(upgradeDir, fmt.Sprintf("%d.deb", i))
		if err := copyInto(w.root, name, c.File); err != nil {
			return fmt.Errorf("upgrade %s: %w", c.Name, err)
		}
		args = append(args, "/"+name)
	}
	err = j.guarded(func() error {
		_, err := j.scripts.dpkg(ctx, args...)
		return err
	})
	if err != nil {
		return err
	}
	return j.shipUpgraded(set)
}

// shipUpgraded notes where dpkg put the files of upgraded packages.
func (j *job) shipUpgraded(set []*contents) error {
	p, w, err := j.plan(nil, false)
	if err != nil {
		return err
	}
	w.root.Close()
	for _, c := range set {
		for _, e := range c.entries {
			at, err := p.locate(p.db.divert(e.name, c.Name))
			if err != nil {
				return fmt.Errorf("upgrade %s: %w", c.Name, err)
			}
			if e.typ == tar.TypeLink {
				if e.link, err = p.locate(p.db.divert(e.link, c.Name)); err != nil {
					return fmt.Errorf("upgrade %s: %w", c.Name, err)
				}
			}
			j.shipped[at] = &node{at, c, e}
		}
	}
	return nil
}

func copyInto(root *os.Root, name, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

package debian

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Normalise takes from the upper directory of a target what must not be in an
// image: what an installation leaves behind (logs, caches, backups of
// databases, temporary files), identities that every machine must make for
// itself (machine-id, ssh host keys, the snakeoil certificate), and traces of
// the clock, which become at. Do calls it; it may be called again after
// scripts ran.
func Normalise(t Target, at time.Time) error {
	root, err := os.OpenRoot(t.Upper)
	if err != nil {
		return err
	}
	defer root.Close()
	n := normaliser{root}
	return errors.Join(
		n.leftovers(),
		n.logs(),
		n.identities(),
		n.keystore("etc/ssl/certs/java/cacerts", at),
	)
}

type normaliser struct{ root *os.Root }

// remove removes files; those that are not there are fine.
func (n normaliser) remove(names ...string) error {
	var problems []error
	for _, name := range names {
		if err := n.root.Remove(name); err != nil && !absent(err) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// absent says whether an error means that there is no such file: its folder,
// too, may be missing, or be a link that this tree alone does not have whole.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "not a directory")
}

// names lists a folder, nothing when there is none.
func (n normaliser) names(dir string) []string {
	d, err := n.root.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	return names
}

func (n normaliser) leftovers() error {
	problems := []error{n.remove(
		"var/cache/ldconfig/aux-cache", // holds inode numbers and times
		"var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin",
		"var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "root/.rnd",
	)}
	for _, dir := range []string{"var/cache/debconf", "var/lib/dpkg"} {
		for _, name := range n.names(dir) {
			if strings.HasSuffix(name, "-old") {
				problems = append(problems, n.remove(path.Join(dir, name)))
			}
		}
	}
	for _, dir := range []string{"var/lib/apt/lists", "var/cache/apt/archives"} {
		for _, name := range n.names(dir) {
			info, err := n.root.Lstat(path.Join(dir, name))
			if err == nil && info.Mode().IsRegular() && name != "lock" {
				problems = append(problems, n.remove(path.Join(dir, name)))
			}
		}
	}
	for _, dir := range []string{"tmp", "var/tmp", "run"} {
		for _, name := range n.names(dir) {
			if dir != "run" || name != "lock" {
				problems = append(problems, n.root.RemoveAll(path.Join(dir, name)))
			}
		}
	}
	return errors.Join(problems...)
}

// logs removes the logs that installing writes and empties all others.
func (n normaliser) logs() error {
	problems := []error{n.remove(
		"var/log/dpkg.log", "var/log/alternatives.log", "var/log/bootstrap.log", "var/log/fontconfig.log",
		"var/log/apt/history.log", "var/log/apt/term.log", "var/log/apt/eipp.log.xz",
	)}
	logs, err := n.root.OpenRoot("var/log")
	if err != nil {
		return errors.Join(problems...)
	}
	defer logs.Close()
	err = fs.WalkDir(logs.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			return err
		}
		f, err := logs.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		return f.Close()
	})
	return errors.Join(append(problems, err)...)
}

// snakeoil is the certificate that ssl-cert makes; links to it by its hash
// lie beside it.
const snakeoil = "ssl-cert-snakeoil.pem"

func (n normaliser) identities() error {
	problems := []error{n.remove("var/lib/dbus/machine-id", "etc/ssl/private/ssl-cert-snakeoil.key", "var/lib/systemd/credential.secret")}
	for _, name := range n.names("etc/ssh") {
		if strings.HasPrefix(name, "ssh_host_") {
			problems = append(problems, n.remove(path.Join("etc/ssh", name)))
		}
	}
	for _, name := range n.names("etc/ssl/certs") {
		at := path.Join("etc/ssl/certs", name)
		link, _ := n.root.Readlink(at)
		if name == snakeoil || path.Base(link) == snakeoil {
			problems = append(problems, n.remove(at))
		}
	}
	if info, err := n.root.Lstat("etc/machine-id"); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		problems = append(problems, n.root.WriteFile("etc/machine-id", nil, 0o444))
	}
	return errors.Join(problems...)
}

// keystore gives the entries of a Java keystore the time at.
func (n normaliser) keystore(name string, at time.Time) error {
	info, err := n.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, err := n.root.ReadFile(name)
	if err != nil {
		return err
	}
	fixed, err := normaliseKeystore(data, at)
	if err != nil {
		return fmt.Errorf("/%s: %w", name, err)
	}
	if string(fixed) == string(data) {
		return nil
	}
	return n.root.WriteFile(name, fixed, 0o644)
}

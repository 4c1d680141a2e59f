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

// NormaliseStep takes from the upper directory of a command what Normalise
// takes of identities, of traces of the clock, and of what dpkg, apt and
// ldconfig leave behind. What else the command made is its own, and stays.
func NormaliseStep(upper string, at time.Time) error {
	root, err := os.OpenRoot(upper)
	if err != nil {
		return err
	}
	defer root.Close()
	n := normaliser{root}
	return errors.Join(
		n.remove(traces...),
		n.remove(logs...),
		n.identities(),
		n.keystore("etc/ssl/certs/java/cacerts", at),
	)
}

// traces hold times, inode numbers and random bytes.
var traces = []string{
	"var/cache/ldconfig/aux-cache", "var/cache/apt/pkgcache.bin", "var/cache/apt/srcpkgcache.bin",
	"var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "root/.rnd",
}

// logs are those that installing writes.
var logs = []string{
	"var/log/dpkg.log", "var/log/alternatives.log", "var/log/bootstrap.log", "var/log/fontconfig.log",
	"var/log/apt/history.log", "var/log/apt/term.log", "var/log/apt/eipp.log.xz",
}

type normaliser struct{ root *os.Root }

// remove removes files; those that are not there are fine. A whiteout stays:
// it is what hides a file below.
func (n normaliser) remove(names ...string) error {
	var problems []error
	for _, name := range names {
		info, err := n.root.Lstat(name)
		if err == nil && info.Mode()&fs.ModeCharDevice == 0 {
			err = n.root.Remove(name)
		}
		if err != nil && !absent(err) {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// absent says whether an error means that there is no such file: its folder,
// too, may be missing, or be a link that this tree alone does not have whole,
// or that leads out of it.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "not a directory") ||
		strings.Contains(err.Error(), "escapes from parent")
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
	problems := []error{n.remove(traces...)}
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
	problems := []error{n.remove(logs...)}
	folder, err := n.root.OpenRoot("var/log")
	if err != nil {
		return errors.Join(problems...)
	}
	defer folder.Close()
	err = fs.WalkDir(folder.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			return err
		}
		f, err := folder.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
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

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

type device struct {
	name         string
	major, minor uint32
}

// devices of the sandbox, all with mode 0666.
func devices() []device {
	return []device{
		{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
	}
}

// devLinks of the sandbox: name and target.
func devLinks() [][2]string {
	return [][2]string{
		{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
	}
}

// openDevices takes hold of the host's devices where making our own is refused:
// in a user namespace and where CAP_MKNOD is missing. Otherwise it is empty.
func openDevices(userNS bool) ([]held, error) {
	if !userNS && hasCapability(unix.CAP_MKNOD) {
		return nil, nil
	}
	var all []held
	for _, d := range devices() {
		fd, err := clone("/dev/"+d.name, 0)
		if err != nil {
			return nil, err
		}
		all = append(all, held{target: "/dev/" + d.name, fd: fd, file: true})
	}
	return all, nil
}

// mountDev makes /dev.
func mountDev(host []held) error {
	fd, err := newFS("tmpfs", "mode", "755", "size", "1m")
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := attach(fd, "/dev"); err != nil {
		return err
	}
	umask := unix.Umask(0)
	defer unix.Umask(umask)
	if err := makeDevices(host); err != nil {
		return err
	}
	for _, l := range devLinks() {
		if err := unix.Symlink(l[1], filepath.Join("/dev", l[0])); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/dev/pts", "/dev/shm"} {
		if err := unix.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if err := unix.Mount("shm", "/dev/shm", "tmpfs", flags, "mode=1777,size=64m"); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	return mountPts()
}

func makeDevices(host []held) error {
	for _, h := range host {
		if err := os.WriteFile(h.target, nil, 0o666); err != nil {
			return err
		}
		if err := attach(h.fd, h.target); err != nil {
			return err
		}
		unix.Close(h.fd)
	}
	if host != nil {
		return nil
	}
	for _, d := range devices() {
		if err := unix.Mknod("/dev/"+d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("make /dev/%s: %w", d.name, err)
		}
	}
	return nil
}

// mountPts gives the sandbox its own terminals, of group tty where that id is
// mapped.
func mountPts() error {
	const options = "newinstance,ptmxmode=0666,mode=0620"
	flags := uintptr(unix.MS_NOSUID | unix.MS_NOEXEC)
	err := unix.Mount("devpts", "/dev/pts", "devpts", flags, options+",gid=5")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("devpts", "/dev/pts", "devpts", flags, options)
	}
	if err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	return nil
}

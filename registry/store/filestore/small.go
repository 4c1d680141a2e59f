package filestore

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// readSmall reads a file that is small as a rule. Pointers are read all the
// time, and os.ReadFile asks the kernel twice as much. Files here are replaced
// and never grow, so that a read which leaves room has read all.
func readSmall(path string) ([]byte, error) {
	fd, err := retry(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	data := make([]byte, 0, 512)
	for {
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if data = data[:len(data)+n]; len(data) < cap(data) {
			return data, nil
		}
		data = append(data, make([]byte, 3*cap(data))...)[:len(data)]
	}
}

func retry(do func() (int, error)) (int, error) {
	for {
		n, err := do()
		if err != unix.EINTR {
			return n, err
		}
	}
}

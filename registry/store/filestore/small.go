package filestore

import (
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readSmall reads a file that is small as a rule. Pointers are read all the
// time, and os.ReadFile asks the kernel twice as much. Files here are replaced
// and never grow, so that a read which leaves room has read all. It says what
// the file is, too, as far as that is worth remembering.
func readSmall(path string) ([]byte, identity, error) {
	fd, err := openRaw(path, unix.O_RDONLY)
	if err != nil {
		return nil, identity{}, err
	}
	defer unix.Close(fd)
	at, err := smallIdentity(fd)
	if err != nil {
		return nil, identity{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	data := make([]byte, 0, 512)
	for {
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, identity{}, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if data = data[:len(data)+n]; len(data) < cap(data) {
			return data, at, nil
		}
		data = append(data, make([]byte, 3*cap(data))...)[:len(data)]
	}
}

// smallIdentity is that of an open file, or none: see rested.
func smallIdentity(fd int) (identity, error) {
	var st unix.Stat_t
	_, err := retry(func() (int, error) { return 0, unix.Fstat(fd, &st) })
	if err != nil || !rested(time.Unix(st.Ctim.Unix()), time.Now()) {
		return identity{}, err
	}
	return identityOf(&st), nil
}

func identityOf(st *unix.Stat_t) identity {
	return identity{uint64(st.Dev), st.Ino, st.Size, syscall.Timespec(st.Mtim), syscall.Timespec(st.Ctim)}
}

func retry(do func() (int, error)) (int, error) {
	for {
		n, err := do()
		if err != unix.EINTR {
			return n, err
		}
	}
}

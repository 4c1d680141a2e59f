package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// identity is who the command runs as.
type identity struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// maxAccounts bounds what is read of the root's account files, in bytes.
const maxAccounts = 16 << 20

// lookUpUser resolves "uid[:gid]", numbers or names, in the account files of
// the root that this process is in. "" is root.
func lookUpUser(spec string) (identity, error) {
	name, group, hasGroup := strings.Cut(spec, ":")
	if name == "" && !hasGroup {
		name = "0"
	}
	id := identity{home: "/"}
	entry, err := account("/etc/passwd", name, 7)
	if err != nil {
		return id, err
	}
	uid, numeric := parseID(name)
	login := ""
	switch {
	case entry != nil:
		login, id.home = entry[0], entry[5]
		var ok1, ok2 bool
		id.uid, ok1 = parseID(entry[2])
		id.gid, ok2 = parseID(entry[3])
		if !ok1 || !ok2 {
			return id, fmt.Errorf("user %s: bad ids in /etc/passwd", name)
		}
	case numeric:
		id.uid = uid
	default:
		return id, fmt.Errorf("user %q is not in the root's /etc/passwd", name)
	}
	if id.home == "" {
		id.home = "/"
	}
	if entry == nil && id.uid == 0 {
		id.home = "/root"
	}
	if hasGroup {
		id.gid, err = lookUpGroup(group)
		return id, err
	}
	id.groups, err = groupsOf(login)
	return id, err
}

func lookUpGroup(group string) (uint32, error) {
	if gid, ok := parseID(group); ok {
		return gid, nil
	}
	entry, err := account("/etc/group", group, 4)
	if err != nil {
		return 0, err
	}
	if entry != nil {
		if gid, ok := parseID(entry[2]); ok {
			return gid, nil
		}
	}
	return 0, fmt.Errorf("group %q is not in the root's /etc/group", group)
}

// groupsOf are the supplementary groups of a login name.
func groupsOf(login string) ([]uint32, error) {
	var groups []uint32
	if login == "" {
		return nil, nil
	}
	err := eachAccount("/etc/group", 4, func(entry []string) bool {
		for _, member := range strings.Split(entry[3], ",") {
			if gid, ok := parseID(entry[2]); ok && member == login {
				groups = append(groups, gid)
			}
		}
		return true
	})
	return groups, err
}

// account is the entry for name, or for the id if name is a number; nil if
// there is none.
func account(file, name string, fields int) (found []string, err error) {
	id, numeric := parseID(name)
	err = eachAccount(file, fields, func(entry []string) bool {
		entryID, ok := parseID(entry[2])
		if entry[0] == name || numeric && ok && entryID == id {
			found = entry
		}
		return found == nil
	})
	return found, err
}

// eachAccount calls do for the entries of an account file until it says false.
// A missing file has no entries; one that is not a plain file is refused.
func eachAccount(file string, fields int, do func(entry []string) bool) error {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return fmt.Errorf("%s of the root is not a plain file", file)
	}
	lines := bufio.NewScanner(io.LimitReader(f, maxAccounts))
	lines.Buffer(nil, maxAccounts)
	for lines.Scan() {
		entry := strings.Split(lines.Text(), ":")
		if len(entry) < fields {
			continue
		}
		if !do(entry) {
			return nil
		}
	}
	return lines.Err()
}

// parseID reads a user or group id; the highest one means "none" to the kernel.
func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1
}

func (id identity) credential() *syscall.Credential {
	return &syscall.Credential{Uid: id.uid, Gid: id.gid, Groups: id.groups}
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
)

// HintError is an error with advice on how to remove its cause.
type HintError struct {
	Err  error
	Hint string
}

// Error implements error.
func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *HintError) Unwrap() error { return e.Err }

// idRange is a line of a subordinate id file.
type idRange struct{ start, count int }

// subordinateMaps are the arguments of newuidmap and newgidmap after the
// process id.
func subordinateMaps() (uids, gids []string, err error) {
	names := userNames()
	if uids, err = idMap("/etc/subuid", os.Getuid(), names); err != nil {
		return nil, nil, err
	}
	gids, err = idMap("/etc/subgid", os.Getgid(), names)
	return uids, gids, err
}

// idMap maps root to own and everything above to the ranges of file.
func idMap(file string, own int, names []string) ([]string, error) {
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	args := []string{"0", strconv.Itoa(own), "1"}
	next := 1
	for _, r := range parseSubIDs(string(content), names) {
		args = append(args, strconv.Itoa(next), strconv.Itoa(r.start), strconv.Itoa(r.count))
		next += r.count
	}
	if next <= fullCount {
		return nil, &HintError{
			Err: fmt.Errorf("%s gives %s %d ids, an image needs %d", file, names[0], next-1, fullCount),
			Hint: fmt.Sprintf("as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s "+
				"(choose ids that nobody else in %s has), or run kiln as root", names[0], file),
		}
	}
	return args, nil
}

// parseSubIDs are the ranges of a subordinate id file (subuid(5)) that belong to
// any of names: "login:start:count" or "uid:start:count".
func parseSubIDs(content string, names []string) []idRange {
	var ranges []idRange
	for _, line := range strings.Split(content, "\n") {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 {
			continue
		}
		start, err1 := strconv.Atoi(fields[1])
		count, err2 := strconv.Atoi(fields[2])
		if err1 != nil || err2 != nil || start < 1 || count < 1 {
			continue
		}
		for _, n := range names {
			if fields[0] == n {
				ranges = append(ranges, idRange{start, count})
				break
			}
		}
	}
	return ranges
}

// userNames are the names that the subordinate id files may know us by.
func userNames() []string {
	uid := strconv.Itoa(os.Getuid())
	if u, err := user.LookupId(uid); err == nil && u.Username != uid {
		return []string{u.Username, uid}
	}
	return []string{uid}
}

// writeMaps has the setuid helpers map the ids of process pid.
func writeMaps(ctx context.Context, pid int, uids, gids []string) error {
	for _, m := range []struct {
		helper string
		args   []string
	}{{"newuidmap", uids}, {"newgidmap", gids}} {
		path, err := exec.LookPath(m.helper)
		if err != nil {
			return &HintError{
				Err:  fmt.Errorf("%s is not installed", m.helper),
				Hint: "as root: apt-get install uidmap, or run kiln as root",
			}
		}
		out, err := exec.CommandContext(ctx, path, append([]string{strconv.Itoa(pid)}, m.args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w: %s", m.helper, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

// hintUserNS explains why the kernel refused a user namespace.
func hintUserNS(err error) error {
	for _, f := range userNSFindings() {
		if !f.OK {
			return &HintError{Err: fmt.Errorf("user namespace: %w (%s)", err, f.Detail), Hint: f.Hint}
		}
	}
	return &HintError{
		Err:  fmt.Errorf("user namespace: %w", err),
		Hint: "the system, or the container that kiln runs in, forbids user namespaces; run kiln as root",
	}
}

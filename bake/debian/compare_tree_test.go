//go:build full

package debian

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"testing"
)

// described says all that counts of each file of a tree but times: type and
// mode, owner, and target or content.
func described(t testing.TB, root string) map[string][2]string {
	t.Helper()
	out := map[string][2]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		stat := info.Sys().(*syscall.Stat_t)
		what, content := fmt.Sprintf("%v %d:%d", info.Mode(), stat.Uid, stat.Gid), ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(name)
			if err != nil {
				return err
			}
			what += " -> " + to
		case info.Mode().IsRegular():
			if content, err = contentHash(name); err != nil {
				return err
			}
		}
		out[rel] = [2]string{what, content}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func contentHash(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// differences lists what differs between two trees, as "path: how".
func differences(a, b map[string][2]string) map[string]string {
	out := map[string]string{}
	for name, x := range a {
		y, ok := b[name]
		switch {
		case !ok:
			out[name] = "missing"
		case x[0] != y[0]:
			out[name] = x[0] + ", not " + y[0]
		case x[1] != y[1]:
			out[name] = "content"
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			out[name] = "added"
		}
	}
	return out
}

func report(t testing.TB, title string, diff map[string]string) {
	t.Helper()
	names := make([]string, 0, len(diff))
	for name := range diff {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		if i == 40 {
			t.Errorf("%s: %d more", title, len(names)-i)
			return
		}
		t.Errorf("%s: %s: %s", title, name, diff[name])
	}
}

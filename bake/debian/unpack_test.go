package debian

import (
	"archive/tar"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

var (
	dirs = func(names ...string) (out []tar.Header) {
		for _, name := range names {
			out = append(out, tar.Header{Name: name, Typeflag: tar.TypeDir})
		}
		return out
	}
	link = func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to, Mode: 0o777}
	}
)

// TestUnsafeMembers holds FAULTS row 23: nothing outside the tree is written.
func TestUnsafeMembers(t *testing.T) {
	cases := map[string][]tar.Header{
		"absolute":             {{Name: "/tmp/evil"}},
		"dotdot":               {{Name: "./../evil"}},
		"dotdot inside":        {{Name: "./a/../../evil"}},
		"link for the root":    {link("./", "/tmp")},
		"hard link out":        {{Name: "./x", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}},
		"hard link absolute":   {{Name: "./x", Typeflag: tar.TypeLink, Linkname: "/etc/passwd"}},
		"hard link to nothing": {{Name: "./x", Typeflag: tar.TypeLink, Linkname: "./y"}},
		"through a link up":    {link("./up", "../.."), {Name: "./up/evil"}},
		"link loop":            {link("./a", "b"), link("./b", "a"), {Name: "./a/evil"}},
		"device":               {{Name: "./null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}},
		"whiteout":             {{Name: "./gone", Typeflag: tar.TypeChar}},
		"pipe":                 {{Name: "./pipe", Typeflag: tar.TypeFifo}},
		"file below a file":    {{Name: "./a"}, {Name: "./a/b"}},
	}
	for name, files := range cases {
		outside := t.TempDir()
		target := newTarget(t)
		deb := madeDeb{name: "evil", files: files}.deb(t)
		err := unpackOnly(t, target, Cache{outside + "/cache"}, deb)
		if err == nil || !strings.Contains(err.Error(), "evil 1") {
			t.Errorf("%s: %v", name, err)
		}
		if left, _ := filepath.Glob(filepath.Dir(target.Upper) + "/*evil*"); len(left) > 0 {
			t.Errorf("%s: wrote %v", name, left)
		}
	}
}

// TestAbsoluteLinkStaysInside follows a link to /tmp inside the tree only.
func TestAbsoluteLinkStaysInside(t *testing.T) {
	target := newTarget(t)
	deb := madeDeb{name: "inside", files: append(dirs("./tmp"), link("./out", "/tmp"), tar.Header{Name: "./out/inside-kiln-test"})}.deb(t)
	if err := unpackOnly(t, target, Cache{t.TempDir()}, deb); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat("/tmp/inside-kiln-test"); err == nil {
		t.Error("wrote to the host's /tmp")
	}
	if _, err := os.Lstat(target.Upper + "/tmp/inside-kiln-test"); err != nil {
		t.Error(err)
	}
}

func TestConflicts(t *testing.T) {
	file := []tar.Header{{Name: "./etc/x"}}
	one := madeDeb{name: "one", files: file, bodies: map[string]string{"./etc/x": "one"}}
	two := madeDeb{name: "two", files: file, bodies: map[string]string{"./etc/x": "two"}}
	replacing := two
	replacing.fields = "Replaces: one (<< 2)\n"
	older := two
	older.fields = "Replaces: one (<< 1)\n"
	cases := []struct {
		name, want string
		a, b       madeDeb
		conflict   bool
	}{
		{"both", "", one, two, true},
		{"replaced", "two", one, replacing, false},
		{"replaced, other order", "two", replacing, one, false},
		{"replaces another version", "", one, older, true},
	}
	for _, c := range cases {
		target := newTarget(t)
		err := unpackOnly(t, target, Cache{t.TempDir()}, c.a.deb(t), c.b.deb(t))
		var conflict *ConflictError
		if c.conflict {
			if !errors.As(err, &conflict) || conflict.Path != "/etc/x" || !strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if data, _ := os.ReadFile(target.Upper + "/etc/x"); string(data) != c.want {
			t.Errorf("%s: content %q", c.name, data)
		}
		if list, _ := os.ReadFile(target.Upper + "/var/lib/dpkg/info/one.list"); strings.Contains(string(list), "/etc/x") {
			t.Errorf("%s: one still lists the file", c.name)
		}
	}
}

// TestOnParent unpacks on trees that have packages: links are followed,
// covered folders keep their owners, a file of another package conflicts or
// is taken over, a whiteout is gone.
func TestOnParent(t *testing.T) {
	cache := Cache{t.TempDir()}
	base := newTarget(t)
	first := madeDeb{name: "usr-is-merged", files: append(dirs("./usr", "./usr/bin", "./bin", "./srv"), tar.Header{Name: "./bin/old"})}
	if err := unpackOnly(t, base, cache, first.deb(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(base.Upper+"/srv", 7, 8); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base.Upper+"/srv", fs.ModeSetgid|0o750); err != nil {
		t.Fatal(err)
	}
	middle := newTarget(t, base.Upper)
	if err := syscall.Mknod(middle.Upper+"/gone", syscall.S_IFCHR, 0); err != nil {
		t.Fatal(err)
	}
	top := newTarget(t, base.Upper, middle.Upper)
	second := madeDeb{name: "second", files: append(dirs("./bin", "./srv", "./gone"), tar.Header{Name: "./bin/new"}, tar.Header{Name: "./srv/x", Mode: 0o4755, Uid: 3, Gid: 4})}
	if err := unpackOnly(t, top, cache, second.deb(t)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(top.Upper + "/usr/bin/new"); err != nil || !info.Mode().IsRegular() {
		t.Errorf("/bin/new is not below usr: %v", err)
	}
	if _, err := os.Lstat(top.Upper + "/bin"); err == nil {
		t.Error("the link /bin was covered")
	}
	for name, want := range map[string]struct {
		mode     fs.FileMode
		uid, gid uint32
	}{
		"srv": {fs.ModeDir | fs.ModeSetgid | 0o750, 7, 8}, "srv/x": {fs.ModeSetuid | 0o755, 3, 4},
		"gone": {fs.ModeDir | 0o755, 0, 0},
	} {
		info, err := os.Lstat(top.Upper + "/" + name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		stat := info.Sys().(*syscall.Stat_t)
		if info.Mode() != want.mode || stat.Uid != want.uid || stat.Gid != want.gid {
			t.Errorf("%s: %v %d:%d, want %v", name, info.Mode(), stat.Uid, stat.Gid, want)
		}
	}
	third := madeDeb{name: "third", files: []tar.Header{{Name: "./bin/old"}}}
	var conflict *ConflictError
	if err := unpackOnly(t, newTarget(t, base.Upper), cache, third.deb(t)); !errors.As(err, &conflict) || conflict.Other != "usr-is-merged" {
		t.Errorf("file of the parent: %v", err)
	}
	third.fields = "Replaces: usr-is-merged\n"
	taking := newTarget(t, base.Upper)
	if err := unpackOnly(t, taking, cache, third.deb(t)); err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(taking.Upper + "/var/lib/dpkg/info/usr-is-merged.list")
	if err != nil || strings.Contains(string(list), "/bin/old") {
		t.Errorf("list of the replaced package: %q, %v", list, err)
	}
}

func TestHardLinksAndRegister(t *testing.T) {
	target := newTarget(t)
	deb := madeDeb{
		name: "conf", fields: "Multi-Arch: foreign\n",
		control: map[string]string{"conffiles": "/etc/a\n", "triggers": "interest-noawait /usr/share/x\n"},
		files: append(dirs("./", "./etc"), tar.Header{Name: "./etc/a"},
			tar.Header{Name: "./etc/b", Typeflag: tar.TypeLink, Linkname: "./etc/a"},
			tar.Header{Name: "./etc/c", Typeflag: tar.TypeLink, Linkname: "./etc/b"}),
		bodies: map[string]string{"./etc/a": "hello"},
	}
	if err := unpackOnly(t, target, Cache{t.TempDir()}, deb.deb(t)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(target.Upper + "/etc/c")
	if err != nil || info.Sys().(*syscall.Stat_t).Nlink != 3 {
		t.Errorf("hard links: %v %v", info, err)
	}
	if !info.ModTime().Equal(madeTime) {
		t.Errorf("time is %v", info.ModTime())
	}
	for name, want := range map[string]string{
		statusFile:                 "Package: conf\nStatus: install ok unpacked\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: for a test\nMulti-Arch: foreign\nConffiles:\n /etc/a 5d41402abc4b2a76b9719d911017c592\n\n",
		infoDir + "/conf.list":     "/.\n/etc\n/etc/a\n/etc/b\n/etc/c\n",
		infoDir + "/conf.triggers": "interest-noawait /usr/share/x\n",
		triggerDir + "/File":       "/usr/share/x conf/noawait\n",
	} {
		if got, err := os.ReadFile(target.Upper + "/" + name); err != nil || string(got) != want {
			t.Errorf("%s: %q, want %q (%v)", name, got, want, err)
		}
	}
}

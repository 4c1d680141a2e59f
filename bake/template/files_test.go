package template

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// list is what a copy of a folder's source puts into the image, as
// "name mode link".
func list(t *testing.T, dir, source string, change func(*Copy)) ([]string, error) {
	t.Helper()
	c := &Copy{Root: dir, Rel: source, Source: filepath.Join(dir, source), Target: "/srv"}
	if change != nil {
		change(c)
	}
	files, err := Files(c)
	var got []string
	for _, f := range files {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %o %s", f.Rel, f.Mode, f.Link)))
	}
	return got, err
}

func TestFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		"app/main.js": "1", "app/run.sh": "2", "app/a/b/c.test.js": "3", "app/a/b/d.js": "4", "app/x.test.js": "5",
		"app/.git/HEAD": "6", "app/kiln.hcl": "7", "app/a.b": "8",
	})
	must(t, os.Chmod(filepath.Join(dir, "app/run.sh"), 0o700))
	must(t, os.Chmod(filepath.Join(dir, "app/main.js"), 0o600))
	must(t, os.Chmod(filepath.Join(dir, "app/a"), 0o700))
	must(t, os.Symlink("/etc/passwd", filepath.Join(dir, "app/link")))
	must(t, os.Symlink("../../outside", filepath.Join(dir, "app/a/up")))
	got, err := list(t, dir, "app", func(c *Copy) { c.Exclude = []string{"**/*.test.js"} })
	want := []string{
		". 755", "a 755", "a.b 644", "a/b 755", "a/b/d.js 644", "a/up 777 ../../outside",
		"kiln.hcl 644", "link 777 /etc/passwd", "main.js 644", "run.sh 755",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
	mode := uint32(0o640)
	got, err = list(t, dir, "app/run.sh", func(c *Copy) { c.Mode = &mode })
	if err != nil || !slices.Equal(got, []string{". 640"}) {
		t.Errorf("a file: got %q, %v", got, err)
	}
}

func TestFilesLeavesKilnsOwnOut(t *testing.T) {
	dir := tree(t, map[string]string{
		FileName: "", LockFileName: "", IgnoreFileName: "# comment\n\n/build/\n*.log\n!keep.log\n",
		".git/HEAD": "", "build/x": "", "sub/build/x": "", "sub/a.log": "", "sub/keep.log": "", "build.txt": "",
	})
	got, err := list(t, dir, ".", nil)
	want := []string{". 755", "build.txt 644", "sub 755", "sub/build 755", "sub/build/x 644", "sub/keep.log 644"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %q, %v\nwant %q", got, err, want)
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		lines  string
		path   string
		folder bool
		want   bool
	}{
		{"*.js", "a/b.js", false, true},
		{"*.js", "b.js", false, true},
		{"/*.js", "a/b.js", false, false},
		{"/*.js", "b.js", false, true},
		{"a/*.js", "a/b.js", false, true},
		{"a/*.js", "x/a/b.js", false, false},
		{"**/a/*.js", "x/a/b.js", false, true},
		{"**/*.test.js", "b.test.js", false, true},
		{"a/**", "a/b/c", false, true},
		{"a/", "a", false, false},
		{"a/", "a", true, true},
		{"a/", "x/a", true, true},
		{"node_modules/", "x/node_modules", true, true},
		{"a/b/", "x/a/b", true, false},
		{"*.js\n!b.js", "b.js", false, false},
		{"!b.js\n*.js", "b.js", false, true},
		{`\!x`, "!x", false, true},
		{"# a", "# a", false, false},
		{"{a,b}.c", "b.c", false, true},
		{"./a", "a", false, true},
		{"a?c", "abc", false, true},
		{"[a-c]", "b", false, true},
	} {
		p, err := parsePatterns(strings.Split(c.lines, "\n"))
		if err != nil {
			t.Errorf("%q: %v", c.lines, err)
			continue
		}
		if got := p.match(c.path, c.folder); got != c.want {
			t.Errorf("%q and %q (folder %v): got %v", c.lines, c.path, c.folder, got)
		}
	}
}

// What a source may not hold (fault 29).
func TestFilesRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, dir string)
		want string
	}{
		"socket": {func(t *testing.T, dir string) {
			l, err := net.Listen("unix", filepath.Join(dir, "app/s"))
			must(t, err)
			t.Cleanup(func() { l.Close() })
		}, `copy source "app": "app/s" is neither file, folder nor symlink (a socket)`},
		"pipe": {func(t *testing.T, dir string) {
			must(t, unix.Mkfifo(filepath.Join(dir, "app/p"), 0o644))
		}, `copy source "app": "app/p" is neither file, folder nor symlink (a pipe)`},
		"device": {func(t *testing.T, dir string) {
			must(t, unix.Mknod(filepath.Join(dir, "app/d"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))))
		}, `copy source "app": "app/d" is neither file, folder nor symlink (a device)`},
		"name": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "app/a\xff"), nil, 0o644))
		}, `copy source "app": the name "a\xff" in "app" is not UTF-8`},
		"link to a strange name": {func(t *testing.T, dir string) {
			must(t, os.Symlink("a\xff", filepath.Join(dir, "app/l")))
		}, `copy source "app": the symlink "app/l" leads to a name that is not UTF-8`},
		"source is a symlink": {func(t *testing.T, dir string) {
			must(t, os.Rename(filepath.Join(dir, "app"), filepath.Join(dir, "real")))
			must(t, os.Symlink("real", filepath.Join(dir, "app")))
		}, `copy source "app" is reached through a symlink`},
		"gone": {func(t *testing.T, dir string) {
			must(t, os.RemoveAll(filepath.Join(dir, "app")))
		}, `copy source "app" does not exist`},
		"bad ignore": {func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, IgnoreFileName), []byte("["), 0o644))
		}, `copy source "app": read .kilnignore: "[" is no pattern`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, map[string]string{"app/main.js": "1"})
			c.make(t, dir)
			got, err := list(t, dir, "app", nil)
			if err == nil || err.Error() != c.want {
				t.Errorf("got %q, %v\nwant %s", got, err, c.want)
			}
		})
	}
}

// Sources that Load refuses already.
func TestLoadRefusesSymlinks(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "x"})
	for name, c := range map[string]struct{ link, to, source string }{
		"out of the folder":      {"app", outside, "app"},
		"inside the folder":      {"app", "real", "app"},
		"on the way":             {"app", outside, "app/secret"},
		"on the way, inside":     {"app", "real", "app/main.js"},
		"leads nowhere":          {"app", "nowhere", "app"},
		"behind a dot-dot":       {"app", outside, "real/../app"},
		"a link as a last thing": {"real/x", "/etc/passwd", "real/x"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, map[string]string{
				"real/main.js": "1",
				FileName:       app(fmt.Sprintf("copy {\nsource = %q\ntarget = \"/srv\"\n}", c.source)),
			})
			must(t, os.Symlink(c.to, filepath.Join(dir, c.link)))
			_, err := Load(dir, Options{})
			want := fmt.Sprintf(`kiln.hcl:8: image "shop": copy source %q is reached through a symlink (name the folder that it leads to)`, c.source)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	t.Run("file function", func(t *testing.T) {
		dir := tree(t, map[string]string{FileName: app(`version = file("secret")`)})
		must(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "secret")))
		if _, err := Load(dir, Options{}); err == nil || !strings.Contains(err.Error(), "escapes") {
			t.Errorf("got %v", err)
		}
	})
}

// Root reads everything, so the test asks as somebody else.
func TestFilesRefusesUnreadable(t *testing.T) {
	if dir := os.Getenv("KILN_TEST_UNREADABLE"); dir != "" {
		_, err := list(t, dir, "app", nil)
		fmt.Println("said:", err)
		return
	}
	for _, name := range []string{"app/main.js", "app/sub"} {
		dir := tree(t, map[string]string{"app/main.js": "1", "app/sub/x": "2"})
		for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
			must(t, os.Chmod(d, 0o755))
		}
		must(t, os.Chmod(filepath.Join(dir, name), 0))
		binary := filepath.Join(dir, "test")
		copyFile(t, os.Args[0], binary)
		cmd := exec.Command(binary, "-test.run=^TestFilesRefusesUnreadable$", "-test.v")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "KILN_TEST_UNREADABLE="+dir)
		if os.Getuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		out, err := cmd.CombinedOutput()
		must(t, os.Chmod(filepath.Join(dir, name), 0o755))
		want := fmt.Sprintf(`said: copy source "app": %q cannot be read: permission denied`, name)
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("got %v\n%s\nwant %s", err, out, want)
		}
	}
}

func TestOpenSeesChanges(t *testing.T) {
	open := func(t *testing.T) (string, File) {
		dir := tree(t, map[string]string{"app/main.js": strings.Repeat("1", 1000)})
		files, err := Files(&Copy{Root: dir, Rel: "app/main.js"})
		must(t, err)
		return filepath.Join(dir, "app/main.js"), files[0]
	}
	t.Run("unchanged", func(t *testing.T) {
		_, f := open(t)
		r, err := f.Open()
		must(t, err)
		defer r.Close()
		if data, err := io.ReadAll(r); err != nil || len(data) != 1000 {
			t.Errorf("got %d bytes, %v", len(data), err)
		}
	})
	for name, change := range map[string]func(t *testing.T, file string){
		"longer":  func(t *testing.T, file string) { must(t, os.WriteFile(file, make([]byte, 2000), 0o644)) },
		"shorter": func(t *testing.T, file string) { must(t, os.Truncate(file, 1)) },
		"another": func(t *testing.T, file string) {
			must(t, os.Rename(file, file+".old"))
			must(t, os.WriteFile(file, make([]byte, 1000), 0o644))
		},
		"symlink": func(t *testing.T, file string) {
			must(t, os.Rename(file, file+".old"))
			must(t, os.Symlink(file+".old", file))
		},
		"pipe": func(t *testing.T, file string) {
			must(t, os.Remove(file))
			must(t, unix.Mkfifo(file, 0o644))
		},
		"gone": func(t *testing.T, file string) { must(t, os.Remove(file)) },
	} {
		t.Run("before: "+name, func(t *testing.T) {
			file, f := open(t)
			change(t, file)
			if _, err := f.Open(); !errors.Is(err, ErrChanged) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("while it is read", func(t *testing.T) {
		file, f := open(t)
		r, err := f.Open()
		must(t, err)
		defer r.Close()
		_, err = io.ReadFull(r, make([]byte, 10))
		must(t, err)
		must(t, os.Truncate(file, 500))
		if _, err := io.ReadAll(r); !errors.Is(err, ErrChanged) {
			t.Errorf("got %v", err)
		}
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o755))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

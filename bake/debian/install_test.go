package debian

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// run runs a command in a target.
func run(t *testing.T, target Target, cmd ...string) string {
	t.Helper()
	var out bytes.Buffer
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	if err := target.Runner.Run(context.Background(), cmd, env, strings.NewReader(""), &out); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out.String())
	}
	return out.String()
}

func TestInstallOnParent(t *testing.T) {
	lower := minbase.path(t)
	installed, err := InstalledIn([]string{lower})
	if err != nil {
		t.Fatal(err)
	}
	target := newTarget(t, lower)
	result := installIn(t, target, realDebs(t, Request{Packages: []string{"nodejs"}, Installed: installed}))
	if out := run(t, target, "node", "--version"); !strings.HasPrefix(out, "v18.") {
		t.Errorf("node --version printed %q", out)
	}
	if out := run(t, target, "dpkg", "--audit"); out != "" {
		t.Errorf("dpkg --audit printed %q", out)
	}
	if out := run(t, target, "dpkg", "--verify", "nodejs"); out != "" {
		t.Errorf("dpkg --verify printed %q", out)
	}
	if len(result.Installed) <= len(installed) {
		t.Errorf("%d packages installed, %d before", len(result.Installed), len(installed))
	}
	at, ok := result.Times["usr/bin/node"]
	if !ok || at.After(realTime(t)) || at.Year() < 2020 {
		t.Errorf("time of /usr/bin/node: %v %v", at, ok)
	}
	for _, made := range []string{"etc/ld.so.cache", statusFile} {
		if _, ok := result.Times[made]; ok {
			t.Errorf("%s has a package's time", made)
		}
	}
	for _, gone := range []string{policyFile, "usr/sbin/start-stop-daemon", "usr/sbin/start-stop-daemon.kiln-real", "var/log/dpkg.log"} {
		if _, err := os.Lstat(target.Upper + "/" + gone); err == nil {
			t.Errorf("%s was left behind", gone)
		}
	}
}

// script is a package that only has scripts.
func script(name string, control map[string]string) madeDeb {
	return madeDeb{name: name, control: control, files: dirs("./"), fields: ""}
}

// TestScriptFailures holds FAULTS row 28: the error names the package and
// shows what it printed last.
func TestScriptFailures(t *testing.T) {
	cases := []struct {
		name, script, body, want string
	}{
		{"fails", "postinst", "#!/bin/sh\necho about to fail >&2\nexit 3\n", "about to fail"},
		{"refuses", "preinst", "#!/bin/sh\necho not here\nexit 1\n", "not here"},
		{"hangs", "postinst", "#!/bin/sh\necho waiting\nsleep 600\n", "still running after 3s"},
		{"waits", "preinst", "#!/bin/sh\nsleep 600 &\nwait\n", "still running after 3s"},
		{"lost", "postinst", "#!/no/such/shell\n", "lost"},
	}
	for _, c := range cases {
		deb := script(c.name, map[string]string{c.script: c.body}).deb(t)
		in := installation(t, newTarget(t, minbase.path(t)), []Deb{deb})
		in.Timeout = 3 * time.Second
		_, err := in.Do(context.Background())
		var failed *ScriptError
		if !errors.As(err, &failed) || failed.Package != c.name || failed.Script != c.script || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBeside: what goes on beside an installation sees what is in the packages,
// and has ended when the installation has.
func TestBeside(t *testing.T) {
	deb := madeDeb{name: "texts", files: append(dirs("./"), tar.Header{Name: "./text", Mode: 0o644}), bodies: map[string]string{"./text": "words"}}
	in := installation(t, newTarget(t, minbase.path(t)), []Deb{deb.deb(t)})
	var names []string
	ended := false
	in.Beside = func(ctx context.Context, data []io.Reader) {
		for _, r := range data {
			for archive := tar.NewReader(r); ; {
				h, err := archive.Next()
				if err != nil {
					break
				}
				names = append(names, h.Name)
			}
		}
		<-ctx.Done()
		ended = true
	}
	if _, err := in.Do(context.Background()); err != nil || !ended {
		t.Fatalf("%v, ended %v", err, ended)
	}
	if !slices.Contains(names, "./text") {
		t.Errorf("beside it saw %q", names)
	}
}

// TestUnmetDependency leaves a package that dpkg cannot configure.
func TestUnmetDependency(t *testing.T) {
	deb := madeDeb{name: "needy", fields: "Depends: absent\n", files: dirs("./")}.deb(t)
	_, err := installation(t, newTarget(t, minbase.path(t)), []Deb{deb}).Do(context.Background())
	if err == nil || !strings.Contains(err.Error(), "package needy") || !strings.Contains(err.Error(), "absent") {
		t.Error(err)
	}
}

// TestNoServices installs a package that tries everything to start a service
// and leaves a process behind.
func TestNoServices(t *testing.T) {
	target := newTarget(t, minbase.path(t))
	deb := madeDeb{
		name: "service",
		control: map[string]string{"postinst": `#!/bin/sh
set -e
invoke-rc.d service start || true
start-stop-daemon --start --exec /usr/sbin/started
sleep 600 &
`},
		files: append(dirs("./", "./etc", "./etc/init.d", "./usr", "./usr/sbin"),
			tar.Header{Name: "./etc/init.d/service", Mode: 0o755}, tar.Header{Name: "./usr/sbin/started", Mode: 0o755}),
		bodies: map[string]string{
			"./etc/init.d/service": "#!/bin/sh\ntouch /service-started\n",
			"./usr/sbin/started":   "#!/bin/sh\ntouch /daemon-started\n",
		},
	}
	installIn(t, target, []Deb{deb.deb(t)})
	for _, name := range []string{"service-started", "daemon-started", policyFile, "usr/sbin/start-stop-daemon"} {
		if _, err := os.Lstat(target.Upper + "/" + name); err == nil {
			t.Errorf("/%s is there", name)
		}
	}
}

// TestDpkgSemantics installs packages that use diversions, triggers, and
// configuration files that are there already.
func TestDpkgSemantics(t *testing.T) {
	base := minbase.path(t)
	first := newTarget(t, base)
	listener := madeDeb{
		name: "listener", files: dirs("./"),
		control: map[string]string{
			"triggers": "interest-noawait /usr/share/kiln-trigger\n",
			"postinst": "#!/bin/sh\nif [ \"$1\" = triggered ]; then echo \"$2\" > /triggered; fi\n",
		},
	}
	tool := madeDeb{name: "tool", files: []tar.Header{{Name: "./usr/bin/tool"}}, bodies: map[string]string{"./usr/bin/tool": "original"}}
	installIn(t, first, []Deb{listener.deb(t), tool.deb(t)})
	if err := os.MkdirAll(first.Upper+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first.Upper+"/etc/mine.conf", []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	second := newTarget(t, base, first.Upper)
	setter := madeDeb{
		name:   "setter",
		files:  append(dirs("./usr/share/kiln-trigger"), tar.Header{Name: "./usr/share/kiln-trigger/x"}, tar.Header{Name: "./etc/mine.conf"}, tar.Header{Name: "./usr/bin/tool"}),
		bodies: map[string]string{"./etc/mine.conf": "theirs", "./usr/bin/tool": "diverting"},
		control: map[string]string{
			"conffiles": "/etc/mine.conf\n",
			"preinst":   "#!/bin/sh\nset -e\ndpkg-divert --package setter --add --rename --divert /usr/bin/tool.real /usr/bin/tool\n",
		},
	}
	installIn(t, second, []Deb{setter.deb(t)})
	for name, want := range map[string]string{
		"triggered": "/usr/share/kiln-trigger\n", "etc/mine.conf": "mine", "etc/mine.conf.dpkg-dist": "theirs",
		"usr/bin/tool": "diverting", "usr/bin/tool.real": "original",
	} {
		if got := run(t, second, "cat", "/"+name); got != want {
			t.Errorf("/%s holds %q, want %q", name, got, want)
		}
	}
	if out := run(t, second, "dpkg", "--audit"); out != "" {
		t.Errorf("dpkg --audit printed %q", out)
	}
}

func TestUpgrade(t *testing.T) {
	base := minbase.path(t)
	tool := madeDeb{name: "tool", files: []tar.Header{{Name: "./usr/bin/tool"}, {Name: "./usr/bin/old"}}, bodies: map[string]string{"./usr/bin/tool": "one"}}
	first := newTarget(t, base)
	installIn(t, first, []Deb{tool.deb(t)})
	newer := madeDeb{
		name: "tool", version: "2", fields: "Depends: part\n",
		files: []tar.Header{{Name: "./usr/bin/tool"}}, bodies: map[string]string{"./usr/bin/tool": "two"},
	}
	part := madeDeb{name: "part", files: []tar.Header{{Name: "./usr/bin/part"}}}
	second := newTarget(t, base, first.Upper)
	result := installIn(t, second, []Deb{newer.deb(t), part.deb(t)})
	if got := run(t, second, "sh", "-c", "cat /usr/bin/tool; test ! -e /usr/bin/old; dpkg-query -f '${Version}' -W tool; dpkg --audit"); got != "two2" {
		t.Errorf("got %q", got)
	}
	if at, ok := result.Times["usr/bin/tool"]; !ok || !at.Equal(madeTime) {
		t.Errorf("time of the upgraded file: %v %v", at, ok)
	}
	if _, err := os.Lstat(second.Upper + "/" + upgradeDir); err == nil {
		t.Error("the .debs were left in the tree")
	}
}

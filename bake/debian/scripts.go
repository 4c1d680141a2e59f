package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// scripts runs maintainer scripts and dpkg in a target.
type scripts struct {
	runner  Runner
	env     []string
	timeout time.Duration
	log     io.Writer
}

func newScripts(in *Install) *scripts {
	s := &scripts{runner: in.Runner, timeout: in.Timeout, log: in.Log}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if s.log == nil {
		s.log = io.Discard
	}
	s.env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LC_ALL=C.UTF-8", "LANG=C.UTF-8", "TZ=UTC", "TERM=dumb",
		"DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true", "PERL_DL_NONLAZY=1",
		"SOURCE_DATE_EPOCH=" + strconv.FormatInt(in.Timestamp.Unix(), 10),
	}
	return s
}

// dpkg runs dpkg with the umask that Debian assumes. Where a configuration
// file is there already, it stays.
func (s *scripts) dpkg(ctx context.Context, args ...string) (string, error) {
	cmd := []string{
		"/bin/sh", "-c", `umask 022; exec "$@"`, "sh",
		"dpkg", "--force-confdef", "--force-confold",
	}
	return s.run(ctx, append(cmd, args...))
}

// preinst runs the preinst scripts of packages in order, each as dpkg would
// for a first installation.
func (s *scripts) preinst(ctx context.Context, set []*contents) error {
	var script strings.Builder
	script.WriteString("umask 022\nset -e\nexport DPKG_ADMINDIR=/" + adminDir +
		" DPKG_ROOT= DPKG_MAINTSCRIPT_NAME=preinst DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1\n")
	any := false
	for _, c := range set {
		if c.controlData("preinst") == nil {
			continue
		}
		any = true
		fmt.Fprintf(&script, "echo 'Preparing to unpack %s (%s) ...'\n", c.Name, c.Version)
		fmt.Fprintf(&script, "DPKG_MAINTSCRIPT_PACKAGE=%[1]s DEBCONF_PACKAGE=%[1]s DPKG_MAINTSCRIPT_ARCH=%[2]s /%[3]s/%[4]s.preinst install\n",
			c.Name, c.Arch, infoDir, c.id())
	}
	if !any {
		return nil
	}
	_, err := s.run(ctx, []string{"/bin/sh", "-c", script.String()})
	return err
}

func (s *scripts) run(ctx context.Context, cmd []string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.timeout, fmt.Errorf("still running after %v", s.timeout))
	defer cancel()
	out := &tail{}
	err := s.runner.Run(ctx, cmd, s.env, bytes.NewReader(nil), io.MultiWriter(out, s.log))
	if err == nil {
		return out.String(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		if errors.Is(err, context.Canceled) {
			return "", err
		}
	}
	text := out.String()
	failed := &ScriptError{Output: lastLines(text, 20), Err: err}
	failed.Package, failed.Script = blame(text)
	return text, failed
}

var (
	dpkgBlame = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?m)^ ?(?:installed|new) (\S+) package (\S+) (?:maintainer )?script subprocess`)
	})
	dpkgError = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?m)^dpkg: error processing (?:package|archive) (\S+) \(`)
	})
	dpkgStep = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?m)^(Setting up|Preparing to unpack|Processing triggers for) (\S+) \(`)
	})
	stepScript = map[string]string{"Setting up": "postinst", "Preparing to unpack": "preinst", "Processing triggers for": "postinst"}
)

// blame reads from the output of dpkg which package and script failed, or
// which was the last to start.
func blame(out string) (pkg, script string) {
	if m := dpkgBlame().FindStringSubmatch(out); m != nil {
		return m[1], map[string]string{
			"pre-installation": "preinst", "post-installation": "postinst",
			"pre-removal": "prerm", "post-removal": "postrm",
		}[m[2]]
	}
	if m := dpkgError().FindStringSubmatch(out); m != nil {
		return m[1], ""
	}
	if all := dpkgStep().FindAllStringSubmatch(out, -1); len(all) > 0 {
		last := all[len(all)-1]
		return last[2], stepScript[last[1]]
	}
	return "", ""
}

// tail keeps the last 64 KiB of what is written to it.
type tail struct{ data []byte }

const tailSize = 64 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if over := len(t.data) - tailSize; over > tailSize {
		t.data = append([]byte(nil), t.data[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.data) }

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}

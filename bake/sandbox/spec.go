package sandbox

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Spec says what to run and what it may see. The zero value of every optional
// field is the most closed choice.
type Spec struct {
	Root Root
	// Args is the command and its arguments. A command without a slash is
	// looked up in PATH of Env, inside the root.
	Args []string
	// Env is the whole environment, "KEY=value"; PATH and HOME are added when
	// they are not in it. Nothing comes from the caller's environment.
	Env []string
	// Dir is the working directory inside the root; it must exist. Default "/".
	Dir string
	// User is "uid", "uid:gid" or names from the root's /etc/passwd and
	// /etc/group. Default root. Without a group, the user's own and its
	// supplementary groups are taken from the root's files, else group 0.
	User string
	// Network is NetworkNone (default) or NetworkHost.
	Network string
	// Mounts are made in order, after Tmpfs.
	Mounts []Mount
	// Tmpfs are the targets of fresh, empty tmpfs mounts.
	Tmpfs []string

	// Stdin is empty when nil. A Read that blocks for ever outlives the command.
	Stdin io.Reader `json:"-"`
	// Stdout and Stderr receive the output through pipes; nil discards it. The
	// same value in both keeps the order of writes.
	Stdout io.Writer `json:"-"`
	Stderr io.Writer `json:"-"`

	// Timeout ends the command; 0 means none.
	Timeout time.Duration
	// Hostname is the host name; default "kiln".
	Hostname string
	// Profile chooses the capabilities; default ProfileRun.
	Profile Profile
	Limits  Limits
}

// Networks of a [Spec].
const (
	// NetworkNone has a loopback interface and nothing else.
	NetworkNone = "none"
	// NetworkHost shares the host's network and its resolver; not hermetic.
	NetworkHost = "host"
)

// Root names the directories that make up the root file system. All are on the
// host; their content is trusted no more than the command is.
//
// With Lowers, the root is an overlay of them and Upper. With Upper alone, Upper
// itself is the root. Without Upper the root is read-only.
type Root struct {
	// Lowers are the layers, the bottom one first, in overlayfs form.
	Lowers []string
	// Upper receives what the command writes.
	Upper string
	// Work is overlayfs' scratch directory: empty, on the file system of Upper,
	// and neither inside the other. Needed when there are Lowers and an Upper,
	// and for any Lowers where overlayfs cannot be mounted.
	Work string
	// Copy makes the root a copy of the layers, in Work, instead of an overlay:
	// slower, with the same outcome in Upper. Where overlayfs cannot be mounted
	// this happens by itself.
	Copy bool
	// ReadOnly makes Upper one more layer that is only read.
	ReadOnly bool
}

// Mount adds something to the root.
type Mount struct {
	// Source is a file or directory of the host, for Type "bind".
	Source string
	// Target is an absolute path inside the root. It is made when missing,
	// without leaving a trace in Upper.
	Target   string
	ReadOnly bool
	// Type is "bind" (default; what is mounted below Source is not included)
	// or "tmpfs".
	Type string
}

// Limits bound what the command can use; 0 means no limit of ours.
type Limits struct {
	// MaxProcesses bounds processes and threads together: more at once end the
	// command. They are counted ten times a second; what forks faster than that
	// the kernel stops a few hundred later, where it can. See [Check].
	MaxProcesses int
	// MaxFileBytes bounds the size of every single file (RLIMIT_FSIZE); a
	// write beyond it ends the writer with SIGXFSZ.
	MaxFileBytes int64
	// MinFreeBytes ends the command when the file system of Upper has less
	// than this left, so that a script that fills the disk fills it for nobody
	// else. It is looked at ten times a second.
	MinFreeBytes int64
	// TmpfsBytes bounds each tmpfs; default 1 GiB.
	TmpfsBytes int64
}

// normalised checks the spec and fills in its defaults.
func (s Spec) normalised() (Spec, error) {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return s, errors.New("sandbox: no command given")
	}
	if s.Network == "" {
		s.Network = NetworkNone
	}
	if s.Network != NetworkNone && s.Network != NetworkHost {
		return s, fmt.Errorf("sandbox: network %q: want %q or %q", s.Network, NetworkNone, NetworkHost)
	}
	if s.Profile == "" {
		s.Profile = ProfileRun
	}
	if _, ok := s.Profile.capabilities(); !ok {
		return s, fmt.Errorf("sandbox: unknown profile %q", s.Profile)
	}
	if s.Hostname == "" {
		s.Hostname = "kiln"
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	if s.Limits.TmpfsBytes == 0 {
		s.Limits.TmpfsBytes = 1 << 30
	}
	var err error
	if s.Mounts, err = s.allMounts(); err != nil {
		return s, err
	}
	s.Tmpfs = nil
	if s.Root, err = s.Root.normalised(); err != nil {
		return s, err
	}
	return s, s.checkText()
}

// checkText refuses what would not reach the sandbox as it is.
func (s Spec) checkText() error {
	all := slices.Concat(s.Args, s.Env, s.Root.Lowers, []string{s.Dir, s.User, s.Hostname, s.Root.Upper, s.Root.Work})
	for _, m := range s.Mounts {
		all = append(all, m.Source, m.Target)
	}
	for _, v := range all {
		if strings.ContainsRune(v, 0) || !utf8.ValidString(v) {
			return fmt.Errorf("sandbox: %q holds a NUL byte or is not UTF-8", v)
		}
	}
	return nil
}

// allMounts is Tmpfs and Mounts in one list, with clean paths.
func (s Spec) allMounts() ([]Mount, error) {
	var all []Mount
	for _, t := range s.Tmpfs {
		all = append(all, Mount{Target: t, Type: "tmpfs"})
	}
	all = append(all, s.Mounts...)
	for i := range all {
		m := &all[i]
		if m.Type == "" {
			m.Type = "bind"
		}
		if m.Type != "bind" && m.Type != "tmpfs" {
			return nil, fmt.Errorf("sandbox: mount %s: unknown type %q", m.Target, m.Type)
		}
		if !filepath.IsAbs(m.Target) || filepath.Clean(m.Target) == "/" {
			return nil, fmt.Errorf("sandbox: mount target %q: want an absolute path below /", m.Target)
		}
		m.Target = filepath.Clean(m.Target)
		if m.Type == "bind" {
			abs, err := filepath.Abs(m.Source)
			if err != nil || m.Source == "" {
				return nil, fmt.Errorf("sandbox: mount %s: bad source %q", m.Target, m.Source)
			}
			m.Source = abs
		}
	}
	return all, nil
}

func (r Root) normalised() (Root, error) {
	if len(r.Lowers) == 0 && r.Upper == "" {
		return r, errors.New("sandbox: the root has neither lowers nor an upper")
	}
	if len(r.Lowers) > 0 && r.Upper != "" && r.Work == "" && !r.ReadOnly {
		return r, errors.New("sandbox: a root with lowers and an upper needs a work directory")
	}
	if len(r.Lowers) > maxLowers {
		return r, fmt.Errorf("sandbox: %d layers: overlayfs takes at most %d", len(r.Lowers), maxLowers)
	}
	r.Lowers = slices.Clone(r.Lowers)
	paths := []*string{&r.Upper, &r.Work}
	for i := range r.Lowers {
		paths = append(paths, &r.Lowers[i])
	}
	for i, p := range paths {
		if *p == "" {
			if i >= 2 {
				return r, errors.New("sandbox: a lower directory has an empty name")
			}
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return r, fmt.Errorf("sandbox: root directory %s: %w", *p, err)
		}
		*p = abs
	}
	return r, nil
}

// maxLowers is overlayfs' limit (OVL_MAX_STACK, 500) less our own lowest layer
// and an upper used as a layer.
const maxLowers = 498

package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxLock bounds a lock file, in bytes: some 100,000 packages.
const maxLock = 32 << 20

var (
	inputsRE    = lazily(`^sha256:[0-9a-f]{64}$`)
	sha256RE    = lazily(`^[0-9a-f]{64}$`)
	versionsRE  = lazily(`^[0-9A-Za-z.+:~-]+$`)
	archRE      = lazily(`^[a-z0-9-]+$`)
	commitRE    = lazily(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)
	goVersionRE = lazily(`^go[0-9][A-Za-z0-9.+_:-]*$`)
	lockNameRE  = lazily(`^[a-z0-9][a-z0-9+.-]+$`)
)

// lockFile is the lock as JSON.
type lockFile struct {
	Schema string               `json:"schema"`
	Images map[string]lockImage `json:"images"`
}

type lockImage struct {
	Inputs    string `json:"inputs"`
	Timestamp string `json:"timestamp,omitempty"`
	Suite     string `json:"suite,omitempty"`
	Variant   string `json:"variant,omitempty"`
	Arch      string `json:"arch,omitempty"`
	From      string `json:"from,omitempty"`

	Froms map[string]string `json:"froms,omitempty"`
	Git   map[string]string `json:"git,omitempty"`
	Go    string            `json:"go,omitempty"`

	Packages []LockedPackage `json:"packages,omitempty"`
}

// ReadLock reads the lock in a template's folder. Without one it is nil and an
// error that wraps fs.ErrNotExist; a lock that cannot be trusted as written is
// an error that says where.
func ReadLock(dir string) (*Lock, error) {
	data, err := readBounded(filepath.Join(dir, LockFileName), maxLock)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", LockFileName, err)
	}
	return ParseLock(data)
}

// ParseLock reads the text of a lock.
func ParseLock(data []byte) (*Lock, error) {
	var version struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("read %s: %w", LockFileName, err)
	}
	if version.Schema != LockSchema {
		return nil, fmt.Errorf("read %s: schema %q is not %q: this kiln cannot read it", LockFileName, version.Schema, LockSchema)
	}
	var file lockFile
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("read %s: %w", LockFileName, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: more text after the end", LockFileName)
	}
	lock := &Lock{Images: make(map[string]LockedImage, len(file.Images))}
	for name, im := range file.Images {
		locked, err := im.locked()
		if !goodLockName(name) {
			err = errors.New("no image name")
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: image %q: %w", LockFileName, name, err)
		}
		lock.Images[name] = locked
	}
	return lock, nil
}

func (im lockImage) locked() (LockedImage, error) {
	locked := LockedImage{
		Inputs: im.Inputs, Suite: im.Suite, Variant: im.Variant, Arch: im.Arch,
		FromDigest: im.From, Packages: im.Packages, Froms: im.Froms, Git: im.Git, Go: im.Go,
	}
	if im.Timestamp != "" {
		t, err := time.Parse("2006-01-02T15:04:05Z", im.Timestamp)
		if err != nil {
			return locked, fmt.Errorf("timestamp %q is no UTC time", im.Timestamp)
		}
		locked.Timestamp = t
	}
	return locked, locked.check()
}

// check refuses what no lock may hold: every field that becomes part of a path
// or an address is safe afterwards.
func (im LockedImage) check() error {
	variants := []string{"", VariantMinbase, VariantEssential, VariantDistroless}
	switch {
	case !inputsRE().MatchString(im.Inputs):
		return fmt.Errorf("inputs %q is no sha256 hash", im.Inputs)
	case im.Suite != "" && !goodSuite(im.Suite):
		return fmt.Errorf("%q is no suite", im.Suite)
	case !slices.Contains(variants, im.Variant):
		return fmt.Errorf("there is no variant %q", im.Variant)
	case im.Arch != "" && !archRE().MatchString(im.Arch):
		return fmt.Errorf("%q is no architecture", im.Arch)
	case im.FromDigest != "" && !digestRE().MatchString(im.FromDigest):
		return fmt.Errorf("from %q is no digest", im.FromDigest)
	case len(im.Packages) > 0 && im.Timestamp.IsZero():
		return errors.New("packages without a timestamp")
	}
	for i, p := range im.Packages {
		if err := p.check(); err != nil {
			return fmt.Errorf("package %d (%q): %w", i+1, p.Name, err)
		}
	}
	for ref, digest := range im.Froms {
		if !digestRE().MatchString(digest) {
			return fmt.Errorf("froms: %q is no digest of %q", digest, ref)
		}
	}
	if im.Go != "" && !goVersionRE().MatchString(im.Go) {
		return fmt.Errorf("go: %q is no version", im.Go)
	}
	for ref, commit := range im.Git {
		if !commitRE().MatchString(commit) {
			return fmt.Errorf("git: %q is no commit of %q", commit, ref)
		}
	}
	return nil
}

func (p LockedPackage) check() error {
	switch {
	case !lockNameRE().MatchString(p.Name):
		return errors.New("no package name")
	case !versionsRE().MatchString(p.Version):
		return fmt.Errorf("%q is no version", p.Version)
	case !archRE().MatchString(p.Arch):
		return fmt.Errorf("%q is no architecture", p.Arch)
	case !goodSuite(p.Suite):
		return fmt.Errorf("%q is no suite", p.Suite)
	case p.Size <= 0:
		return fmt.Errorf("size %d", p.Size)
	case !sha256RE().MatchString(p.SHA256):
		return fmt.Errorf("%q is no sha256 hash", p.SHA256)
	}
	return checkPoolPath(p.Path)
}

// checkPoolPath wants a path below an archive, never an address.
func checkPoolPath(p string) error {
	first, _, deep := strings.Cut(p, "/")
	switch {
	case p == "" || path.IsAbs(p) || path.Clean(p) != p || first == "..":
		return fmt.Errorf("path %q is not relative and clean", p)
	case strings.ContainsFunc(p, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\?#@`, r) }):
		return fmt.Errorf("path %q holds a character that no archive uses", p)
	case deep && strings.ContainsAny(first, ".:"):
		return fmt.Errorf("path %q begins with a host", p)
	case !strings.HasSuffix(p, ".deb"):
		return fmt.Errorf("path %q is no .deb", p)
	}
	return nil
}

func goodSuite(s string) bool { return suiteRE().MatchString(s) && !strings.Contains(s, "..") }

// goodLockName tells "name" and "name linux/arm64" from the rest.
func goodLockName(name string) bool {
	name, platform, several := strings.Cut(name, " ")
	problem, _ := nameProblem("image", name)
	return problem == "" && (!several || supported(platform))
}

// Encode is the text of the lock: one line per package, everything sorted. It
// refuses what ParseLock would refuse.
func (l *Lock) Encode() ([]byte, error) {
	names := make([]string, 0, len(l.Images))
	for name := range l.Images {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	fmt.Fprintf(&b, "{\n  \"schema\": %q,\n  \"images\": {", LockSchema)
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encodeImage(&b, name, l.Images[name]); err != nil {
			return nil, fmt.Errorf("write %s: image %q: %w", LockFileName, name, err)
		}
	}
	if len(names) > 0 {
		b.WriteString("\n  ")
	}
	b.WriteString("}\n}\n")
	return b.Bytes(), nil
}

func encodeImage(b *bytes.Buffer, name string, im LockedImage) error {
	if err := im.check(); err != nil {
		return err
	}
	if !goodLockName(name) {
		return errors.New("no image name")
	}
	out := lockImage{Inputs: im.Inputs, Suite: im.Suite, Variant: im.Variant, Arch: im.Arch, From: im.FromDigest, Froms: im.Froms, Git: im.Git, Go: im.Go}
	if !im.Timestamp.IsZero() {
		out.Timestamp = im.Timestamp.UTC().Format("2006-01-02T15:04:05Z")
	}
	head, err := json.MarshalIndent(out, "    ", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "\n    %q: %s", name, bytes.TrimSuffix(head, []byte("\n    }")))
	packages := slices.Clone(im.Packages)
	sortPackages(packages)
	for i, p := range packages {
		line, err := json.Marshal(p)
		if err != nil {
			return err
		}
		b.WriteString(map[bool]string{true: ",\n      \"packages\": [", false: ","}[i == 0])
		fmt.Fprintf(b, "\n        %s", line)
	}
	if len(packages) > 0 {
		b.WriteString("\n      ]")
	}
	b.WriteString("\n    }")
	return nil
}

// Write puts the lock into a template's folder: whole and durable, or not at
// all.
func (l *Lock) Write(dir string) error {
	data, err := l.Encode()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(dir, LockFileName), data); err != nil {
		return fmt.Errorf("write %s: %w", LockFileName, err)
	}
	return nil
}

// writeFile replaces a file by rename, after its bytes are on the disk.
func writeFile(name string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if err = tmp.Chmod(fs.FileMode(0o644)); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

package bake

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kiln/bake/sandbox"
	"kiln/bake/template"
)

const (
	maxSecret  = 1 << 20 // bytes
	minMasked  = 4       // bytes: shorter texts would only garble output
	leakWindow = 1 << 16
)

// errNoSecret says that nobody has a secret.
var errNoSecret = errors.New("nobody gives it")

// secretValue reads a secret where the template says that it is.
func (b *Builder) secretValue(s template.Secret) ([]byte, error) {
	switch {
	case s.Value != "":
		return []byte(s.Value), nil
	case s.Env != "":
		lookup := b.LookupEnv
		if lookup == nil {
			lookup = os.LookupEnv
		}
		if v, ok := lookup(s.Env); ok && v != "" {
			return []byte(v), nil
		}
		return nil, fmt.Errorf("%w: the variable %s is not set (export it first)", errNoSecret, s.Env)
	case s.File != "":
		return readSecretFile(s.File)
	}
	return nil, fmt.Errorf("%w (its value is not recorded with the version: bake it from its template)", errNoSecret)
}

func readSecretFile(name string) ([]byte, error) {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, err
		}
		name = filepath.Join(home, rest)
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no file %s", errNoSecret, name)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(data) > maxSecret {
		err = fmt.Errorf("%s has more than %d bytes", name, maxSecret)
	}
	return data, err
}

// mountSecret gives the command a secret, in memory where the host has some to
// share, else in a folder that only this user can enter.
func (b *Builder) mountSecret(def template.Mount, m *mounted) error {
	value, err := b.secretValue(def.Secret)
	if errors.Is(err, errNoSecret) && def.Optional {
		return nil
	}
	if err != nil {
		return err
	}
	m.secrets = append(m.secrets, secret{def.ID, string(value)})
	if def.Env != "" {
		if bytes.IndexByte(value, 0) >= 0 {
			return errors.New("holds a NUL byte, which no variable can")
		}
		m.env = append(m.env, def.Env+"="+string(value))
	}
	if def.Target == "" {
		return nil
	}
	dir, done, err := b.cache.scratch("secret", maxSecret)
	if err != nil {
		return err
	}
	m.before(done)
	file := filepath.Join(dir, "value")
	mode := os.FileMode(0o400)
	if def.Mode != nil {
		mode = fileMode(*def.Mode)
	}
	if err := os.WriteFile(file, value, 0o600); err != nil {
		return err
	}
	if err := errors.Join(os.Chown(file, def.UID, def.GID), os.Chmod(file, mode)); err != nil {
		return err
	}
	m.mounts = append(m.mounts, sandbox.Mount{Source: file, Target: def.Target, ReadOnly: true})
	return nil
}

// masks are the texts that no output may show: secrets, and the lines of those
// that have several.
func (m *mounted) masks() []string {
	var list []string
	for _, s := range m.secrets {
		for _, text := range append([]string{strings.TrimSpace(s.value)}, strings.Split(s.value, "\n")...) {
			if text = strings.TrimRight(text, "\r"); len(text) >= minMasked {
				list = append(list, text)
			}
		}
	}
	return list
}

// leaked looks for secrets in what a command wrote below upper: a layer with
// one would give it to everybody who can pull the image.
func (m *mounted) leaked(upper string) error {
	values := m.masks()
	if len(values) == 0 {
		return nil
	}
	return filepath.WalkDir(upper, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		held, err := holds(name, values)
		if err == nil && held {
			err = fmt.Errorf("the command left a secret in %s, which would be in the image (remove it in the same step)", strings.TrimPrefix(name, upper))
		}
		return err
	})
}

// holds tells whether a file has one of the texts in it. It keeps as much of
// what it read as a text can begin in.
func holds(name string, texts []string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	longest := 0
	for _, t := range texts {
		longest = max(longest, len(t))
	}
	buf := make([]byte, 0, longest+leakWindow)
	for {
		n, err := io.ReadFull(f, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		for _, t := range texts {
			if bytes.Contains(buf, []byte(t)) {
				return true, nil
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		kept := copy(buf, buf[len(buf)-longest:])
		buf = buf[:kept]
	}
}

// secretMounts are the names of the secrets that run steps of an image see.
func secretMounts(img *Image) []any {
	all := []any{}
	for _, res := range img.Steps {
		if res.run == nil {
			continue
		}
		for _, m := range res.run.Mounts {
			if m.Type == template.MountSecret && !slices.Contains(all, any(m.ID)) {
				all = append(all, m.ID)
			}
		}
	}
	return all
}

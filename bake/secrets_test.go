package bake

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiln/bake/template"
)

// FAULTS 30: a secret is found wherever it lies in a file, also across the
// parts in which the file is read.
func TestLeaked(t *testing.T) {
	m := &mounted{secrets: []secret{{"a", "hunter2hunter2\nsecond line\n"}}}
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"none":          {strings.Repeat("hunter", 50_000), false},
		"short":         {"hunter2", false},
		"whole":         {"hunter2hunter2", true},
		"a line":        {"xx second line xx", true},
		"over the edge": {strings.Repeat("x", leakWindow+8) + "hunter2hunter2", true},
		"at the end":    {strings.Repeat("x", 3*leakWindow) + "hunter2hunter2", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "f"), []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := m.leaked(dir)
			if (err != nil) != c.want || (err != nil && (!strings.Contains(err.Error(), " /f,") || strings.Contains(err.Error(), "hunter2"))) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSecretValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("of a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := builder(t, BuilderOptions{LookupEnv: func(name string) (string, bool) { return "of " + name, name == "TOKEN" }})
	for name, c := range map[string]struct {
		from template.Secret
		want string
	}{
		"variable": {template.Secret{Env: "TOKEN"}, "of TOKEN"},
		"file":     {template.Secret{File: file}, "of a file"},
		"value":    {template.Secret{Value: "v"}, "v"},
		"unset":    {template.Secret{Env: "NONE"}, ""},
		"no file":  {template.Secret{File: file + "x"}, ""},
		"recorded": {template.Secret{}, ""},
	} {
		value, err := b.secretValue(c.from)
		if string(value) != c.want || (c.want == "") != errors.Is(err, errNoSecret) {
			t.Errorf("%s: %q, %v", name, value, err)
		}
	}
}

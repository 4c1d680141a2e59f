package bake

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"kiln/layers"
)

func TestDifferContent(t *testing.T) {
	many := strings.Repeat("line\n", 200)
	for _, c := range []struct {
		name, before, after string
		want, never         string
	}{
		{"text", "a\nb\nc\n", "a\nB\nc\n", "-b\n+B\n", "diff "},
		{"binary", "same\x00one", "same\x00two", "from byte 5 (0x5) of 8 and 8: 6f 6e 65, 74 77 6f\n", ""},
		{"shorter", "\x00\x01", "\x00", "from byte 1 (0x1) of 2 and 1: 01, the end\n", ""},
		{"no terminal is told what to do", "\x1b[2Ja", "\x1b[2Jb", "from byte 4", "\x1b"},
		{"much text", many, strings.ReplaceAll(many, "line", "other"), "…\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := differContent([]byte(c.before), []byte(c.after))
			if !strings.Contains(got, c.want) || c.never != "" && strings.Contains(got, c.never) {
				t.Errorf("got %q, want %q and never %q", got, c.want, c.never)
			}
			if n := strings.Count(got, "\n"); n > maxDiffLines+1 {
				t.Errorf("%d lines", n)
			}
		})
	}
}

func plainFile(p, content string) layers.Entry {
	return layers.Entry{
		Path: p, Type: tar.TypeReg, Mode: 0o644, Size: int64(len(content)), ModTime: Epoch,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil },
	}
}

func imageOf(t *testing.T, comp layers.Compression, stacks ...[]layers.Entry) v1.Image {
	t.Helper()
	spec := layers.ImageSpec{Created: Epoch, Platform: v1.Platform{OS: "linux", Architecture: "amd64"}}
	for _, entries := range stacks {
		l, _, err := layers.Build(context.Background(), filepath.Join(t.TempDir(), "layer"), comp, entries)
		if err != nil {
			t.Fatal(err)
		}
		spec.Layers = append(spec.Layers, l)
		spec.History = append(spec.History, v1.History{CreatedBy: fmt.Sprintf("step %d", len(spec.Layers))})
	}
	img, err := layers.Assemble(spec)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestCompareLayers(t *testing.T) {
	a, b := []layers.Entry{plainFile("a", "one\n")}, []layers.Entry{plainFile("b", "")}
	other := []layers.Entry{plainFile("a", "two\n")}
	base := imageOf(t, layers.Gzip, a, b)
	compare := func(img v1.Image) []LayerDifference {
		t.Helper()
		list, err := CompareLayers(t.Context(), base, img, []string{"first"})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if list := compare(base); len(list) != 0 {
		t.Errorf("an image differs from itself: %+v", list)
	}
	list := compare(imageOf(t, layers.Gzip, other, b))
	if len(list) != 1 || list[0].Number != 1 || list[0].Step != "first" || list[0].Count != 1 || list[0].Packed ||
		!strings.Contains(list[0].Contents["a"], "-one\n+two\n") {
		t.Errorf("another content: %+v", list)
	}
	if list := compare(imageOf(t, layers.Zstd, a, b)); len(list) != 2 || !list[0].Packed || !list[1].Packed {
		t.Errorf("another compression: %+v", list)
	}
	if list := compare(imageOf(t, layers.Gzip, a)); len(list) != 1 || list[0].Before == "" || list[0].After != "" {
		t.Errorf("a layer less: %+v", list)
	}
}

// A provenance that does not say enough proves nothing.
func TestMadeFrom(t *testing.T) {
	const whole = `{"buildDefinition":{"externalParameters":{"image":"acme/app","variables":{"a":"b"},"secretVariables":["t"]%s},
		"internalParameters":{%s},"resolvedDependencies":[%s{"name":"lock","digest":{"sha256":"cc"}}]}}`
	const source = `{"name":"source","digest":{"gitCommit":"abc"}},`
	const file = `{"name":"template","uri":"kiln.hcl","digest":{"sha256":"dd"}},`
	for _, c := range []struct{ name, external, internal, deps, problem string }{
		{"whole", "", `"dirty":false`, source + file, ""},
		{"a rebase", `,"rebase":{"of":"sha256:1","onto":"sha256:2"}`, `"dirty":false`, source + file, ""},
		{"dirty", "", `"dirty":true`, source + file, "working tree"},
		{"modified", "", `"dirty":false`, strings.Replace(source, "source", "source-modified", 1) + file, "working tree"},
		{"no word on it", "", ``, source + file, "working tree"},
		{"no commit", "", `"dirty":false`, file, "no commit"},
		{"no template", "", `"dirty":false`, source, "no template"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := parseProvenance([]byte(fmt.Sprintf(whole, c.external, c.internal, c.deps)))
			if err != nil {
				t.Fatal(err)
			}
			m, err := madeFrom(p)
			if c.problem != "" {
				if !errors.Is(err, ErrUncheckable) || !strings.Contains(err.Error(), c.problem) {
					t.Errorf("error %v, want one about %s", err, c.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.Commit != "abc" || m.Template.Digest["sha256"] != "dd" || m.Variables["a"] != "b" || len(m.Secrets) != 1 ||
				(m.Rebased != nil) != (c.external != "") {
				t.Errorf("read %+v", m)
			}
		})
	}
}

// Checkout takes the commit, whatever lies in the tree, and leaves the
// repository as it is.
func TestCheckout(t *testing.T) {
	repo := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	write := func(content string) {
		t.Helper()
		dir := filepath.Join(repo, "sub")
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "file"), []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "-q")
	write("committed")
	run("add", "-A")
	run("commit", "-q", "-m", "one")
	commit := run("rev-parse", "HEAD")
	write("changed")
	status := run("status", "--porcelain", "--branch")

	into := filepath.Join(t.TempDir(), "out")
	prefix, err := Checkout(t.Context(), filepath.Join(repo, "sub"), commit, into)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(into, "sub", "file")); err != nil || string(data) != "committed" || prefix != "sub/" {
		t.Errorf("%q, %v, below %q", data, err, prefix)
	}
	if now := run("status", "--porcelain", "--branch"); now != status {
		t.Errorf("status was %q, is %q", status, now)
	}
	unknown := strings.Repeat("1", 40)
	if _, err := Checkout(t.Context(), repo, unknown, filepath.Join(t.TempDir(), "out")); !errors.Is(err, ErrNoCommit) {
		t.Errorf("an unknown commit: %v", err)
	}
	if _, err := Checkout(t.Context(), t.TempDir(), commit, filepath.Join(t.TempDir(), "out")); err == nil || errors.Is(err, ErrNoCommit) {
		t.Errorf("no repository: %v", err)
	}
}

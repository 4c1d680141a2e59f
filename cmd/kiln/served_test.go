//go:build full

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiln/sign"
)

// served is a world whose store is a running kiln serve, with the shop baked
// and promoted to dev through it.
type served struct {
	*world
	url, host string
	location  string // of what is served; a folder of the world by default
	key       string // that signs its records; promote.key by default
	server    *exec.Cmd
	ended     chan error    // how it ended, once
	done      chan struct{} // closed when it ended
	report    bakeReport
}

// newServed starts a server and bakes testdata/shop through it, with nothing
// but the network between bake and store.
func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{world: newWorld(t)}
	s.keys("bake", "promote")
	if err := os.WriteFile(s.path("root.json"), []byte(sign.CosignTrustedRoot), 0o644); err != nil {
		t.Fatal(err)
	}
	s.start()
	s.env = append(s.env, "KILN_STORE="+s.url, "KILN_KEY="+s.path("bake.key"))
	s.commit("shop")
	if err := json.Unmarshal(s.run("bake", "shop", "--promote", "dev", "--json"), &s.report); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts kiln serve on a free port.
func (s *served) start() {
	s.t.Helper()
	s.server = s.command([]string{"KILN_PROMOTION_KEY=" + firstOf(s.key, s.path("promote.key"))},
		"serve", "--listen", "127.0.0.1:0", "--store", firstOf(s.location, s.path("served")))
	out, err := s.server.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	log := new(bytes.Buffer)
	s.server.Stderr = log
	if err := s.server.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	line, err := bufio.NewReader(out).ReadString('\n')
	s.done = make(chan struct{})
	go func() {
		s.ended <- s.server.Wait()
		close(s.done)
	}()
	t := s.t
	t.Cleanup(func() {
		s.server.Process.Kill()
		if t.Failed() {
			<-s.done
			t.Logf("the server's log:\n%s", log)
		}
	})
	if err != nil {
		s.t.Fatalf("serve prints no address: %v", err)
	}
	s.url = strings.TrimSpace(line)
	s.host = strings.TrimPrefix(s.url, "http://")
}

// in is the same world, reporting to a test of its own.
func (s *served) in(t *testing.T) *served {
	w, c := *s.world, *s
	w.t, c.world = t, &w
	return &c
}

// image finds an image of the bake.
func (s *served) image(name string) bakedImage {
	s.t.Helper()
	for _, img := range s.report.Images {
		if img.Image == name {
			return img
		}
	}
	s.t.Fatalf("no image %s in %v", name, s.report.Images)
	return bakedImage{}
}

// ref is HOST/acme/shop@sha256:….
func (s *served) ref(name string) string {
	s.t.Helper()
	return s.host + "/" + name + "@" + string(s.image(name).Digest)
}

// peer is a program of another project, in dist/tools or on PATH.
func (s *served) peer(program string, args ...string) *exec.Cmd {
	s.t.Helper()
	file, err := filepath.Abs(filepath.Join("..", "..", "dist", "tools", program))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := exec.LookPath(file); err != nil {
		file = program
	}
	cmd := exec.Command(file, args...)
	cmd.Dir, cmd.Env = s.dir, append(s.env[:len(s.env):len(s.env)], "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot")
	return cmd
}

// ask runs a peer to its good end and returns its stdout.
func (s *served) ask(program string, args ...string) string {
	s.t.Helper()
	return strings.TrimSpace(string(s.must(s.peer(program, args...))))
}

// refused runs a command that must end badly and returns all that it prints.
func (s *served) refused(cmd *exec.Cmd) string {
	s.t.Helper()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		s.t.Fatalf("%s: %v, want a refusal\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out)
}

// exits runs kiln to an end with this exit code and returns all that it prints.
func (s *served) exits(code int, args ...string) string {
	s.t.Helper()
	cmd := s.command(nil, args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code {
		s.t.Errorf("kiln %s: %v, want exit code %d\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

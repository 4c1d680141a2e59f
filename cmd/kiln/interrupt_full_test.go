//go:build full

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const slowTemplate = `
project = "acme"
variable "command" { default = "sleep" }
image "base" {
  tier = "base"
  copy {
    source = "helper"
    target = "/helper"
  }
  run {
    command = ["/helper", "write", "/first", "done"]
  }
  run {
    command = { sleep = ["/helper", "sleep"], write = ["/helper", "write", "/second", "done"] }[var.command]
  }
}
`

// An interrupted bake leaves no process, mount, temporary file or version
// behind, and the next one goes on from its last good layer (FAULTS 28, 38).
func TestInterrupt(t *testing.T) {
	w := newWorld(t)
	dir := w.mkdir("slow")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "helper"), "./testdata/helper")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	w.must(build)
	if err := os.WriteFile(filepath.Join(dir, "kiln.hcl"), []byte(slowTemplate), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		before := shared(t)
		cmd := w.command(nil, "bake", "slow", "--json")
		events, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(events)
		for lines.Scan() && !(strings.Contains(lines.Text(), `"step.started"`) && strings.Contains(lines.Text(), "helper sleep")) {
		}
		time.Sleep(300 * time.Millisecond) // into the command
		start := time.Now()
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		said := ""
		for lines.Scan() {
			said += lines.Text() + "\n"
		}
		err = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
			t.Errorf("%v: exit code %d, %v:\n%s", s, code, err, said)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%v: it took %s to end", s, took)
		}
		if !strings.Contains(said, "kiln: error: interrupted") {
			t.Errorf("%v: it said %s", s, said)
		}
		w.nothingLeft(before)
	}
	out := w.run("bake", "slow", "--json", "--var", "command=write")
	var report bakeReport
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	var cached []bool
	for _, l := range report.Images[0].Layers {
		cached = append(cached, l.Cached)
	}
	if len(cached) != 3 || !cached[0] || !cached[1] || cached[2] {
		t.Errorf("after the interrupts, cached were %v, want the first two layers", cached)
	}
}

// shared lists kiln's trees in memory.
func shared(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("/dev/shm/kiln-*/*")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// nothingLeft looks for mounts, processes and temporary files of an ended bake.
func (w *world) nothingLeft(sharedBefore []string) {
	w.t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		w.t.Fatal(err)
	}
	if strings.Contains(string(mounts), w.dir) {
		w.t.Errorf("mounts are left below %s", w.dir)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, path := range commands {
		line, _ := os.ReadFile(path) // processes end while we look
		if args := strings.Split(string(line), "\x00"); args[0] == w.kiln || args[0] == "/helper" {
			w.t.Errorf("process %s is left: %q", path, args)
		}
	}
	for _, pattern := range []string{"cache/tmp/*", "store/tmp/*", "cache/debs/sha256/*/.tmp-*"} {
		if list, _ := filepath.Glob(w.path(pattern)); len(list) > 0 {
			w.t.Errorf("left behind: %v", list)
		}
	}
	if after := shared(w.t); len(after) > len(sharedBefore) {
		w.t.Errorf("left in memory: %v, before %v", after, sharedBefore)
	}
	if list, _ := filepath.Glob(w.path("store", "images", "*", "tags", "*")); len(list) > 0 {
		w.t.Errorf("versions of an interrupted bake: %v", list)
	}
}

package main

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/registry/promotion"
)

// exits CODE COMMAND… runs a command that must end with that very code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// digest VARIABLE IMAGE sets a variable to the digest of an image in the JSON
// that the last command printed.
func digestCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: digest VARIABLE IMAGE")
	}
	var report bakeReport
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &report))
	for _, img := range report.Images {
		if img.Image == args[1] {
			ts.Setenv(args[0], string(img.Digest))
			return
		}
	}
	ts.Fatalf("no image %s in %s", args[1], strings.TrimSpace(ts.ReadFile("stdout")))
}

// record VARIABLE sets a variable to the record in the JSON that the last
// command printed.
func recordCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: record VARIABLE")
	}
	var p promotion.Promotion
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &p))
	ts.Setenv(args[0], string(p.Record))
}

package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"kiln/bake/sandbox"
)

// A build step: the layers below, a fresh directory on top that receives what
// the command writes, and an error that tells the command's fault from ours.
func ExampleRun() {
	err := sandbox.Run(context.Background(), sandbox.Spec{
		Root: sandbox.Root{
			Lowers: []string{"cache/base", "cache/runtime"},
			Upper:  "build/upper",
			Work:   "build/work",
		},
		Args:    []string{"node", "--check", "server.js"},
		Dir:     "/srv/shop",
		Tmpfs:   []string{"/tmp", "/run"},
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Timeout: 10 * time.Minute,
	})
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		fmt.Println("the step failed with", exit.Code, exit.TimedOut)
	}
}

// A test of a server: nobody but the holder of the process reaches it.
func ExampleProcess_Dial() {
	ctx := context.Background()
	p, err := sandbox.Start(ctx, sandbox.Spec{
		Root: sandbox.Root{Lowers: []string{"image"}},
		Args: []string{"/srv/shop/server"},
		User: "10001",
	})
	if err != nil {
		return
	}
	defer p.Stop()
	client := http.Client{Transport: &http.Transport{DialContext: p.Dial}}
	client.Get("http://127.0.0.1:8080/healthz")
}

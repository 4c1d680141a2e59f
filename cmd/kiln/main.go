// Command kiln bakes layered images, signs them, stores them by digest and
// promotes them through channels. See the README and ARCHITECTURE.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"kiln/bake/sandbox"
	"kiln/policy"
)

func main() {
	sandbox.Init()
	policy.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	spareFirstGC(os.Getenv)
	code := run(ctx, os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Getenv)
	stop()
	os.Exit(code)
}

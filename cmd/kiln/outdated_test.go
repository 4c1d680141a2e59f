package main

import (
	"errors"
	"fmt"
	"net"
	"testing"
)

// Only an error of the network is explained by the network.
func TestUnreachable(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	if got := hints(unreachable(fmt.Errorf("suite stable: %w", refused))); len(got) != 1 {
		t.Errorf("hints %q, want one", got)
	}
	if got := hints(unreachable(errors.New("no package of that name"))); len(got) != 0 {
		t.Errorf("hints %q, want none", got)
	}
}

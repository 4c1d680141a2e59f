package bake

import (
	"context"
	"errors"
	"strings"
	"testing"

	"kiln/bake/sandbox"
	"kiln/bake/template"
)

// What programs print when there is no network, as they printed it.
func TestWithoutNetwork(t *testing.T) {
	failed := &sandbox.ExitError{Command: "npm", Code: 1}
	for output, want := range map[string]bool{
		"npm error code EAI_AGAIN\nnpm error syscall getaddrinfo":                                             true,
		"npm ERR! network request to https://example.com/x failed, reason: getaddrinfo ENOTFOUND example.com": true,
		"curl: (6) Could not resolve host: example.com":                                                       true,
		"wget: unable to resolve host address ‘example.com’":                                                  true,
		"wget: bad address 'example.com'":                                                                     true,
		"E: Failed to fetch http://example.com/x  Temporary failure resolving 'example.com'":                  true,
		"[Errno -3] Temporary failure in name resolution":                                                     true,
		"Failed to establish a new connection: [Errno 101] Network is unreachable":                            true,
		"dial tcp: lookup example.com: no such host":                                                          true,
		"java.net.UnknownHostException: example.com":                                                          true,
		"ERROR: Could not find a version that satisfies the requirement x (from versions: none)":              false,
		"npm error The `npm ci` command can only install with an existing package-lock.json":                  false,
		"error TS2304: Cannot find name 'network'.":                                                           false,
		"": false,
	} {
		var hint *sandbox.HintError
		err := withoutNetwork(&template.Run{Network: sandbox.NetworkNone}, []byte(output), failed)
		if errors.As(err, &hint) != want || !errors.Is(err, failed) && !errors.As(err, &failed) {
			t.Errorf("%q: %v", output, err)
		}
	}
	for _, inPlace := range []bool{false, true} {
		err := withoutNetwork(&template.Run{InPlace: inPlace}, []byte("EAI_AGAIN"), failed)
		var hint *sandbox.HintError
		if !errors.As(err, &hint) || strings.Contains(hint.Hint, `dockerfile { network = "host" }`) != inPlace {
			t.Errorf("of a Dockerfile: %v: %v", inPlace, hint)
		}
	}
	for name, err := range map[string]error{
		"with a network":   withoutNetwork(&template.Run{Network: sandbox.NetworkHost}, []byte("EAI_AGAIN"), failed),
		"no command ended": withoutNetwork(&template.Run{}, []byte("EAI_AGAIN"), context.Canceled),
	} {
		if hint := (*sandbox.HintError)(nil); errors.As(err, &hint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

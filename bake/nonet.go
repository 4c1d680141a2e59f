package bake

import (
	"errors"
	"fmt"
	"regexp"
	"sync"

	"kiln/bake/sandbox"
	"kiln/bake/template"
)

// soughtNetwork are the words of programs that found no network: of the C
// library's resolver, Node, Python, curl, wget, apt, Go, Java and busybox.
var soughtNetwork = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)EAI_AGAIN|ENOTFOUND|ENETUNREACH|EHOSTUNREACH|getaddrinfo` +
		`|temporary failure (in name resolution|resolving)|(could not|couldn't|failed to|unable to) resolve( host| proxy|: )` +
		`|name or service not known|network is unreachable|no route to host|nameresolutionerror` +
		`|no such host|unknownhostexception|bad address '`)
})

// withoutNetwork says what to do when a command failed, without a network, for
// want of one, as its output tells.
func withoutNetwork(run *template.Run, output []byte, err error) error {
	var exit *sandbox.ExitError
	if run.Network == sandbox.NetworkHost || !errors.As(err, &exit) || !soughtNetwork().Match(output) {
		return err
	}
	where := `network = "host" in the run block`
	if run.InPlace {
		where = `dockerfile { network = "host" }`
	}
	return &sandbox.HintError{
		Err: fmt.Errorf("%w\n(the step has no network)", err),
		Hint: `steps run with network = "none": copy in what this one needs (fetched and checked before), ` +
			`or say ` + where + `, which the provenance records as not hermetic`,
	}
}

package sandbox

import (
	"fmt"
	"os"
)

// Names under which the executable starts itself again (argv[0]).
const (
	sandboxName = "kiln-sandbox-init"
	userNSName  = "kiln-sandbox-userns"
	probeName   = "kiln-sandbox-probe"
)

// Init must be the first call of main and of TestMain. In a process that this
// package started it does that process's work and never returns; in any other
// it does next to nothing.
func Init() {
	finishUnshare()
	if len(os.Args) == 0 {
		return
	}
	switch os.Args[0] {
	case sandboxName:
		beFirst()
	case userNSName:
		fmt.Fprintln(os.Stderr, enterUserNamespace())
		os.Exit(exitUnshare)
	case probeName:
		os.Exit(printProbe())
	}
}

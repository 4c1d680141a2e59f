package sign

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test program also be the key service plugin of its tests.
func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), "sigstore-kms-") {
		os.Exit(runPlugin(os.Args, os.Stdin, os.Stdout))
	}
	os.Exit(m.Run())
}

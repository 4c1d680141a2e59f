package bake

import (
	"os"
	"testing"

	"kiln/bake/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Init()
	os.Exit(m.Run())
}

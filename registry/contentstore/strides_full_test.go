//go:build full

package contentstore_test

const (
	zombieStride     = 1
	interleaveStride = 2
	intoStride       = 1
)

//go:build !full

package contentstore_test

// Of the steps that tests of interleavings try, everyday runs take some.
const (
	zombieStride     = 9
	interleaveStride = 9
	intoStride       = 2
)

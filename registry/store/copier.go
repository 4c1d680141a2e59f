package store

import "context"

// Copier is what a Store may offer besides: a copy that does not move the
// bytes through the caller.
type Copier interface {
	// Copy makes the object from visible under to as well, as Put would. An
	// existing object under to is kept. ErrNotFound if from is absent.
	Copy(ctx context.Context, from, to string) error
}

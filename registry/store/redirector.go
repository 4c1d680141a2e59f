package store

import (
	"context"
	"time"
)

// Redirector is what a Store may offer besides: to have its objects fetched
// from where they lie.
type Redirector interface {
	// URL is where a client may GET the object itself for a while, without
	// credentials. Whether the object is there is not looked up.
	URL(ctx context.Context, key string, lifetime time.Duration) (string, error)
}

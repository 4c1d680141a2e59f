package access

import (
	"context"
	"time"
)

// Identity is who asks.
type Identity struct {
	// Name is unique among all kinds: alice (a user), token:ci (a robot
	// token), oidc:github:repo:acme/shop… (an issuer's subject), anonymous.
	Name      string
	Anonymous bool
	Grants    []Grant
	Expires   time.Time // of the credential; zero for a user's password

	narrow *scopes // what a session token was asked for; nil for everything
}

// AnonymousName is the name of who presents no credential. No user can have it.
const AnonymousName = "anonymous"

type identityKey struct{}

// With is ctx of a request by id.
func With(ctx context.Context, id Identity) context.Context {
	if slot, ok := ctx.Value(slotKey{}).(*Slot); ok {
		slot.name.Store(&id.Name)
	}
	return context.WithValue(ctx, identityKey{}, id)
}

// From is who asks; false where no Gate has seen the request. Then id may do
// nothing.
func From(ctx context.Context) (id Identity, ok bool) {
	id, ok = ctx.Value(identityKey{}).(Identity)
	return id, ok
}

// Owner is the name of who asks, "" for nobody: what an upload is bound to
// (contentstore.Options.Owner, FAULTS 6).
func Owner(ctx context.Context) string {
	id, _ := From(ctx)
	return id.Name
}

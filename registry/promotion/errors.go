package promotion

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Kind says what an error asks of the caller. Its text is used on the wire.
type Kind string

// The kinds; the CLI exits with the code in parentheses.
const (
	KindInternal     Kind = "internal"     // (1) something broke
	KindInvalid      Kind = "invalid"      // (2) the request makes no sense
	KindDenied       Kind = "denied"       // (3) by policy or trust; see Reasons
	KindVerification Kind = "verification" // (4) a signature, a digest or freshness
	KindRevoked      Kind = "revoked"      // (4) the version must not be used
	KindConflict     Kind = "conflict"     // (5) the channel moved; see Current
	KindNotFound     Kind = "not_found"    // (6)
	// KindUnauthenticated (3): say who you are, and it may be allowed.
	KindUnauthenticated Kind = "unauthenticated"
)

// ErrNoSigner is the cause of the KindDenied of a move that is otherwise well
// formed, by a Service without a Signer.
var ErrNoSigner = errors.New("no promotion key is configured")

// Reason is why a policy refuses, and what would satisfy it.
type Reason = policy.Reason

// Error is an error of this package.
type Error struct {
	Kind    Kind
	Message string // lower case, for the person
	Hint    string // what to do; may be ""
	// Reasons are the policy's, for KindDenied.
	Reasons []Reason
	// Current is what the channel holds, for KindConflict; "" is nothing.
	Current digest.Digest
	Err     error // cause; may be nil
}

// Error is the message and, for a denial, each reason on a line of its own, with
// what would satisfy it below.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, r := range e.Reasons {
		fmt.Fprintf(&b, "\n  %s: %s", r.Rule, r.Message)
		if r.Fix != "" {
			fmt.Fprintf(&b, "\n    fix: %s", r.Fix)
		}
	}
	return b.String()
}

// reasons are those of a denial; of one without any, what it says.
func (e *Error) reasons() []Reason {
	if len(e.Reasons) > 0 {
		return e.Reasons
	}
	return []Reason{{Rule: string(e.Kind), Message: e.Message, Fix: e.Hint}}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// errorf makes an error of a kind; a %w in format becomes its cause.
func errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Message: err.Error(), Err: errors.Unwrap(err)}
}

// hinted adds what to do.
func (e *Error) hinted(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// moved is the conflict of a channel that is not where the caller thought.
func moved(image, channel string, current digest.Digest) *Error {
	holds := string(current)
	if current == "" {
		holds = "nothing"
	}
	e := errorf(KindConflict, "channel %s of %s moved: it holds %s", channel, image, holds)
	e.Current = current
	return e.hinted("look at kiln history %s --channel %s and decide again", image, channel)
}

// KindOf is the kind of the outermost *Error or registry error in err;
// KindInternal for others, "" for nil.
func KindOf(err error) Kind {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Kind
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return KindInternal
	case errors.Is(err, store.ErrConflict):
		return KindConflict
	}
	switch registry.ErrorCode(err) {
	case registry.CodeNameUnknown, registry.CodeManifestUnknown, registry.CodeBlobUnknown:
		return KindNotFound
	case registry.CodeNameInvalid, registry.CodeDigestInvalid, registry.CodeTagInvalid:
		return KindInvalid
	case registry.CodeDenied:
		return KindDenied
	case registry.CodeUnauthorized:
		return KindUnauthenticated
	case registry.CodeConflict:
		return KindConflict
	case registry.CodeCorrupt:
		return KindVerification
	}
	return KindInternal
}

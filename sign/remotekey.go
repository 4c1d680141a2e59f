package sign

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

const (
	// remoteLimit bounds one question to a key service.
	remoteLimit = 30 * time.Second
	// maxRemoteWords bounds what is shown of a key service's own words, in bytes.
	maxRemoteWords = 500
)

// provider is what sigstore's key services have in common.
type provider interface {
	signature.SignerVerifier
	CreateKey(ctx context.Context, algorithm string) (crypto.PublicKey, error)
}

// remoteKey signs with a key that a key service holds. Its public half is
// fetched once, when the key is opened; signatures are checked with that.
type remoteKey struct {
	ref     string
	limit   time.Duration
	open    func() (provider, error)
	current atomic.Pointer[provider]
	public  crypto.PublicKey
	check   signature.Verifier
	// version is that of the key among those the service keeps under its
	// name; nil until the first signature tells. Where the key is rotated in
	// the service meanwhile, signing goes on with the version that was opened.
	version atomic.Pointer[string]
}

// newRemote prepares a key without asking for it.
func newRemote(ctx context.Context, ref string) (*remoteKey, error) {
	if err := CheckKeyURI(ref); err != nil {
		return nil, err
	}
	k := &remoteKey{ref: ref, limit: remoteLimit}
	scheme, _, _ := strings.Cut(ref, "://")
	if isVault(scheme) {
		k.open = func() (provider, error) { return openVault(ref) }
	} else {
		k.open = func() (provider, error) { return openPlugin(context.WithoutCancel(ctx), ref, scheme) }
	}
	return k, k.reopen()
}

// openRemote opens a key and fetches its public half.
func openRemote(ctx context.Context, ref string) (*remoteKey, error) {
	k, err := newRemote(ctx, ref)
	if err != nil {
		return nil, err
	}
	public, err := ask(ctx, k, "read its public key", func(ctx context.Context, p provider) (crypto.PublicKey, error) {
		return p.PublicKey(options.WithContext(ctx))
	})
	if err != nil {
		return nil, err
	}
	return k, k.use(public)
}

// use takes public as what the key's signatures verify with.
func (k *remoteKey) use(public crypto.PublicKey) error {
	if err := checkStrength(public); err != nil {
		return err
	}
	check, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		return fmt.Errorf("%w: %v", ErrKey, err)
	}
	k.public, k.check = public, check
	return nil
}

// reopen makes the provider anew, with the token that is current then.
func (k *remoteKey) reopen() error {
	p, err := k.open()
	if err != nil {
		return err
	}
	k.current.Store(&p)
	return nil
}

// PublicKey implements signature.PublicKeyProvider, without asking again.
func (k *remoteKey) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return k.public, nil
}

// VerifySignature implements signature.Verifier, on this side.
func (k *remoteKey) VerifySignature(sig, message io.Reader, opts ...signature.VerifyOption) error {
	return k.check.VerifySignature(sig, message, opts...)
}

// SignMessage implements signature.Signer; options.WithContext bounds it. What
// does not verify with the key that was opened is refused.
func (k *remoteKey) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	ctx := context.Background()
	for _, opt := range opts {
		opt.ApplyContext(&ctx)
	}
	content, err := io.ReadAll(message)
	if err != nil {
		return nil, err
	}
	made, err := ask(ctx, k, "sign", func(ctx context.Context, p provider) (versioned, error) {
		return k.signWith(ctx, p, content)
	})
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.ref, err)
	}
	if err := k.check.VerifySignature(bytes.NewReader(made.sig), bytes.NewReader(content)); err != nil {
		return nil, fmt.Errorf("key %s: %w: it signs with another key than it showed; if it was rotated, start again and see that the trust lists the new one", k.ref, ErrKeyService)
	}
	if made.version != "" {
		k.version.CompareAndSwap(nil, &made.version)
	}
	return made.sig, nil
}

// versioned is a signature and the version of the key that made it, "" unknown.
type versioned struct {
	sig     []byte
	version string
}

func (k *remoteKey) signWith(ctx context.Context, p provider, content []byte) (versioned, error) {
	var used string
	opts := []signature.SignOption{options.WithContext(ctx)}
	if pinned := k.version.Load(); pinned != nil {
		opts = append(opts, options.WithKeyVersion(*pinned))
	} else {
		opts = append(opts, options.ReturnKeyVersionUsed(&used))
	}
	sig, err := p.SignMessage(bytes.NewReader(content), opts...)
	return versioned{sig: sig, version: vaultVersion(used)}, err
}

// ask puts one question to the key service within the limit. Where Vault
// refuses the token, a token that was renewed meanwhile is tried.
func ask[T any](ctx context.Context, k *remoteKey, what string, question func(context.Context, provider) (T, error)) (T, error) {
	answer, err := askOnce(ctx, k, question)
	if forbidden(err) {
		if k.reopen() == nil {
			answer, err = askOnce(ctx, k, question)
		}
	}
	if err != nil {
		return answer, explain(what, err)
	}
	return answer, nil
}

// askOnce does not rely on the provider to heed its context, nor to survive
// every answer: Vault's panics on an empty one.
func askOnce[T any](ctx context.Context, k *remoteKey, question func(context.Context, provider) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeoutCause(ctx, k.limit, fmt.Errorf("no answer within %v", k.limit))
	defer cancel()
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if cause := recover(); cause != nil {
				r.err = errors.New("an answer that makes no sense")
			}
			done <- r
		}()
		r.value, r.err = question(ctx, *k.current.Load())
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			r.err = context.Cause(ctx)
		}
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// explain makes one line of a key service's refusal, without what may be
// secret in it.
func explain(what string, err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, ErrKey):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %s: %w", ErrKeyService, what, err)
	case noVaultKey(err):
		return fmt.Errorf("%w: %s: %w", ErrKeyService, what, errNoRemoteKey)
	}
	if told, ok := explainVault(err); ok {
		return fmt.Errorf("%w: %s: %s", ErrKeyService, what, told)
	}
	text := err.Error()
	if errors.Is(err, cliplugin.ErrorResponseParse) {
		text = "the plugin's answer is not that of a sigstore KMS plugin"
	}
	return fmt.Errorf("%w: %s: %s", ErrKeyService, what, oneLine(text))
}

// oneLine bounds foreign text and removes what does not print.
func oneLine(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }), " ")
	if len(text) > maxRemoteWords {
		text = strings.ToValidUTF8(text[:maxRemoteWords], "") + "…"
	}
	return text
}

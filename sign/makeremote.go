package sign

import (
	"context"
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// CreateKey makes a P-256 key in a key service and returns its public half as
// PEM. Where the service has a key of that name already, that one is left as
// it is and returned, made being false. ErrKey, ErrKeyService.
func CreateKey(ctx context.Context, uri string) (public []byte, made bool, err error) {
	fail := func(err error) ([]byte, bool, error) { return nil, false, fmt.Errorf("key %s: %w", uri, err) }
	k, err := newRemote(ctx, uri)
	if err != nil {
		return fail(err)
	}
	before, err := ask(ctx, k, "look for it", func(ctx context.Context, p provider) (crypto.PublicKey, error) {
		return p.PublicKey(options.WithContext(ctx))
	})
	if err == nil {
		public, err = encodePublic(before)
		if err != nil {
			return fail(err)
		}
		return public, false, nil
	}
	if scheme, _, _ := strings.Cut(uri, "://"); ctx.Err() != nil || isVault(scheme) && !errors.Is(err, errNoRemoteKey) {
		return fail(err)
	}
	after, err := ask(ctx, k, "make it", func(ctx context.Context, p provider) (crypto.PublicKey, error) {
		return p.CreateKey(ctx, hashivault.AlgorithmECDSAP256)
	})
	if err != nil {
		return fail(err)
	}
	if public, err = encodePublic(after); err != nil {
		return fail(err)
	}
	return public, true, nil
}

func encodePublic(key crypto.PublicKey) ([]byte, error) {
	public, err := newPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicPEM, Bytes: public.der}), nil
}

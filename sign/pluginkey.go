package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os/exec"

	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin"
)

// openPlugin finds sigstore-kms-SCHEME on the search path. How cloud services
// and PKCS #11 tokens are reached is the plugin's, so that kiln carries no
// client of theirs.
func openPlugin(ctx context.Context, ref, scheme string) (provider, error) {
	p, err := cliplugin.LoadSignerVerifier(ctx, ref, crypto.SHA256)
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, fmt.Errorf("%w: no program sigstore-kms-%s on PATH: install the sigstore KMS plugin for %s:// (built in are files and hashivault://)", ErrKeyService, scheme, scheme)
	case err != nil:
		return nil, explain("open", err)
	}
	return p, nil
}

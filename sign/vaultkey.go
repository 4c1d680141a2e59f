package sign

import (
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

func isVault(scheme string) bool { return slices.Contains(vaultSchemes, scheme) }

func checkVaultName(ref string) error {
	if hashivault.ValidReference(ref) != nil {
		return fmt.Errorf("%w: %q: want hashivault://NAME, a key of the transit engine; where that is mounted goes into TRANSIT_SECRET_ENGINE_PATH", ErrKey, ref)
	}
	return nil
}

// openVault reads where Vault is and who asks from VAULT_ADDR, VAULT_TOKEN or
// ~/.vault-token, VAULT_NAMESPACE and TRANSIT_SECRET_ENGINE_PATH.
func openVault(ref string) (provider, error) {
	if os.Getenv("VAULT_ADDR") == "" && os.Getenv("BAO_ADDR") == "" {
		return nil, fmt.Errorf("%w: VAULT_ADDR is not set, the address of Vault", ErrKeyService)
	}
	var opts []signature.RPCOption
	if token := vaultToken(); token != "" {
		opts = append(opts, options.WithRPCAuthOpts(options.RPCAuth{Token: token}))
	}
	p, err := hashivault.LoadSignerVerifier(ref, crypto.SHA256, opts...)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: no token for Vault: set VAULT_TOKEN, or vault login", ErrKeyService)
	}
	if err != nil {
		return nil, explain("open", err)
	}
	return p, nil
}

// vaultToken is the token of the environment or of vault login; "" leaves it to
// the provider, which asks Vault's token helper.
func vaultToken() string {
	if token := os.Getenv("VAULT_TOKEN"); token != "" {
		return token
	}
	if token := os.Getenv("BAO_TOKEN"); token != "" {
		return token
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	token, err := os.ReadFile(filepath.Join(home, ".vault-token"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(token))
}

// vaultVersion is the number in "vault:v3:", "" if there is none.
func vaultVersion(prefix string) string {
	number, ok := strings.CutPrefix(prefix, "vault:v")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(number, ":")
}

// forbidden says whether Vault refused the token.
func forbidden(err error) bool {
	var refused *api.ResponseError
	return errors.As(err, &refused) && refused.StatusCode == http.StatusForbidden
}

// explainVault says what an error of Vault's client means for the caller; the
// request's URL, which may hold a password, is not repeated.
func explainVault(err error) (string, bool) {
	var refused *api.ResponseError
	var unreachable *url.Error
	switch {
	case errors.As(err, &refused):
		text := fmt.Sprintf("Vault answers %d (%s)", refused.StatusCode, oneLine(strings.Join(refused.Errors, "; ")))
		return text + vaultHint(refused.StatusCode), true
	case errors.As(err, &unreachable):
		return "Vault cannot be reached: " + oneLine(unreachable.Err.Error()) + "; see VAULT_ADDR", true
	}
	return "", false
}

// errNoRemoteKey is what explain says of a key that Vault does not have.
var errNoRemoteKey = errors.New("Vault has no such key; kiln keygen --kms makes it")

// noVaultKey says whether Vault answered, and has no key of that name.
func noVaultKey(err error) bool {
	return err != nil && strings.Contains(err.Error(), "could not read data from transit key path")
}

func vaultHint(status int) string {
	switch status {
	case http.StatusForbidden:
		return "; the token needs read on TRANSIT/keys/NAME and update on TRANSIT/sign/NAME"
	case http.StatusNotFound:
		return "; see TRANSIT_SECRET_ENGINE_PATH and VAULT_NAMESPACE"
	case http.StatusServiceUnavailable:
		return "; it is sealed or standing by"
	}
	return ""
}

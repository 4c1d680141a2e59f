package sign

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// vaultSchemes name keys of the transit engine of HashiCorp Vault and OpenBao.
var vaultSchemes = []string{"hashivault", "openbao"}

// pluginName is what may stand in the file name of a plugin: nothing that
// leaves the search path.
var pluginName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*$`)

// IsKeyURI says whether a key reference is SCHEME://NAME, a key that a key
// service holds, and not the path of a file.
func IsKeyURI(ref string) bool { return strings.Contains(ref, "://") }

// CheckKeyURI says what is wrong with the form of a key's URI; it asks neither
// disk nor network. ErrKey.
func CheckKeyURI(ref string) error {
	scheme, name, _ := strings.Cut(ref, "://")
	if !pluginName.MatchString(scheme) || name == "" {
		return fmt.Errorf("%w: %q: want hashivault://NAME or PLUGIN://KEY", ErrKey, ref)
	}
	if isVault(scheme) {
		return checkVaultName(ref)
	}
	return nil
}

// LoadSigner opens the private key that ref names: a file, for which password
// (nil: the empty one) is asked once; hashivault://NAME, a key of Vault's
// transit engine; or PLUGIN://KEY, by the program sigstore-kms-PLUGIN. ctx
// bounds the opening of a key that is not a file. ErrKeyPassword, ErrKey;
// ErrKeyService if who holds the key does not give it; fs.ErrNotExist for a
// missing file.
func LoadSigner(ctx context.Context, ref string, password func() ([]byte, error)) (*Signer, error) {
	if IsKeyURI(ref) {
		key, err := openRemote(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", ref, err)
		}
		return newSigner(key)
	}
	content, err := readKeyFile(ref)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	key, err := openPrivate(content, password)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	s, err := newSigner(key)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", ref, err)
	}
	return s, nil
}

// PublicKey fetches the public half of a key that a key service holds, as PEM.
// ErrKey, ErrKeyService.
func PublicKey(ctx context.Context, uri string) ([]byte, error) {
	s, err := LoadSigner(ctx, uri, nil)
	if err != nil {
		return nil, err
	}
	return s.PublicPEM(), nil
}

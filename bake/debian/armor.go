package debian

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// Armor returns a keyring, binary or armoured, as armoured text, which every
// field for a key takes instead of a file's name.
func Armor(keyring []byte) (string, error) {
	if _, err := parseKeyring(keyring); err != nil {
		return "", fmt.Errorf("keyring: %w", err)
	}
	if bytes.Contains(keyring, []byte(armorStart)) {
		return string(keyring), nil
	}
	var out strings.Builder
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(keyring); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return out.String() + "\n", nil
}

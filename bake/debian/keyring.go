package debian

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
)

const armorStart = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

// loadKeyring reads public keys from files (binary or armoured) or from
// armoured text itself. No key at all is an error: an archive without a key
// is not trusted.
func loadKeyring(entries []string) (openpgp.EntityList, error) {
	var keys openpgp.EntityList
	for _, entry := range entries {
		data, name := []byte(entry), "inline key"
		if !strings.Contains(entry, armorStart) {
			var err error
			if data, err = os.ReadFile(entry); err != nil {
				return nil, fmt.Errorf("keyring: %w", err)
			}
			name = entry
		}
		list, err := parseKeyring(data)
		if err != nil {
			return nil, fmt.Errorf("keyring %s: %w", name, err)
		}
		keys = append(keys, list...)
	}
	if len(keys) == 0 {
		return nil, errors.New("keyring: no public key given")
	}
	return keys, nil
}

// parseKeyring reads one keyring, which may hold several armoured blocks.
func parseKeyring(data []byte) (openpgp.EntityList, error) {
	if bytes.HasPrefix(bytes.TrimSpace(data[min(len(data), 4):]), []byte("KBXf")) {
		return nil, errors.New("is a GnuPG keybox: export it with gpg --export")
	}
	if !bytes.Contains(data, []byte(armorStart)) {
		return openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	var keys openpgp.EntityList
	for _, block := range bytes.Split(data, []byte(armorStart))[1:] {
		list, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(append([]byte(armorStart), block...)))
		if err != nil {
			return nil, err
		}
		keys = append(keys, list...)
	}
	return keys, nil
}

// fingerprints lists the primary keys of a keyring.
func fingerprints(keys openpgp.EntityList) map[string]bool {
	set := make(map[string]bool, len(keys))
	for _, e := range keys {
		set[fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)] = true
	}
	return set
}

package debian

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// ErrUntrusted is wrapped by the errors for an archive whose signature does
// not hold: absent, by no key of the keyring, by an expired or revoked key,
// or made with a broken hash.
var ErrUntrusted = errors.New("archive is not trusted")

// errUnknownKey is wrapped when every signature is by a key that the keyring
// does not have.
var errUnknownKey = errors.New("signed by no key of the keyring")

// clockSkew is how far in the future a signature may lie.
const clockSkew = 24 * time.Hour

// verifyInRelease checks the signatures of a clear-signed file and returns
// the text that they cover, nothing else of the file. One good signature by a
// key of the keyring that is neither expired nor revoked at now is enough;
// SHA-1 and MD5 never count.
func verifyInRelease(data []byte, keys openpgp.EntityList, now time.Time) (string, error) {
	block, err := decodeClearsigned(data)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	var problems []error
	packets := packet.NewReader(block.ArmoredSignature.Body)
	for {
		p, err := packets.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		var unsupported pgperrors.UnsupportedError
		if errors.As(err, &unsupported) {
			problems = append(problems, err)
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%w: signature: %w", ErrUntrusted, err)
		}
		sig, ok := p.(*packet.Signature)
		if !ok {
			return "", fmt.Errorf("%w: signature block holds a %T", ErrUntrusted, p)
		}
		if err := verifySignature(sig, block.Bytes, keys, now); err != nil {
			problems = append(problems, err)
			continue
		}
		return strings.ReplaceAll(string(block.Bytes), "\r\n", "\n"), nil
	}
	return "", untrusted(problems)
}

// decodeClearsigned finds the signed message and refuses anything around it:
// what is not signed must not be there to be mistaken for it.
func decodeClearsigned(data []byte) (*clearsign.Block, error) {
	if !bytes.HasPrefix(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) {
		return nil, errors.New("release is not signed")
	}
	block, rest := clearsign.Decode(data)
	if block == nil {
		return nil, errors.New("signed message is damaged")
	}
	if len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("there is text after the signature")
	}
	return block, nil
}

func untrusted(problems []error) error {
	if len(problems) == 0 {
		return fmt.Errorf("%w: signature block is empty", ErrUntrusted)
	}
	unknown := true
	var texts []string
	for _, p := range problems {
		unknown = unknown && errors.Is(p, errUnknownKey)
		texts = append(texts, p.Error())
	}
	text := strings.Join(texts, "; ")
	if unknown {
		return fmt.Errorf("%w: %w: %s", ErrUntrusted, errUnknownKey, text)
	}
	return fmt.Errorf("%w: %s", ErrUntrusted, text)
}

func verifySignature(sig *packet.Signature, signed []byte, keys openpgp.EntityList, now time.Time) error {
	key := signer(sig, keys)
	if key == nil {
		return unknownKeyError(issuer(sig))
	}
	name := fmt.Sprintf("key %X", key.PublicKey.Fingerprint)
	if sig.SigType != packet.SigTypeText && sig.SigType != packet.SigTypeBinary {
		return fmt.Errorf("%s: not a signature of a document", name)
	}
	switch sig.Hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512, crypto.SHA3_256, crypto.SHA3_512:
	default:
		return fmt.Errorf("%s: signature uses %v, which is broken", name, sig.Hash)
	}
	if bits, err := key.PublicKey.BitLength(); err == nil && isRSA(key.PublicKey) && bits < 2048 {
		return fmt.Errorf("%s: %d bits are too few", name, bits)
	}
	hash, err := sig.PrepareVerify()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	hash.Write(signed)
	if err := key.PublicKey.VerifySignature(hash, sig); err != nil {
		return fmt.Errorf("%s: bad signature: %v", name, err)
	}
	if err := checkKey(key, sig, now); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

type unknownKeyError string

func (e unknownKeyError) Error() string        { return "key " + string(e) + " is not in the keyring" }
func (e unknownKeyError) Is(target error) bool { return target == errUnknownKey }

func isRSA(key *packet.PublicKey) bool {
	return key.PubKeyAlgo == packet.PubKeyAlgoRSA || key.PubKeyAlgo == packet.PubKeyAlgoRSASignOnly
}

func issuer(sig *packet.Signature) string {
	if len(sig.IssuerFingerprint) != 0 {
		return fmt.Sprintf("%X", sig.IssuerFingerprint)
	}
	if sig.IssuerKeyId != nil {
		return fmt.Sprintf("%016X", *sig.IssuerKeyId)
	}
	return "(unnamed)"
}

// signer finds the key of the keyring that a signature claims to be made by.
func signer(sig *packet.Signature, keys openpgp.EntityList) *openpgp.Key {
	for _, e := range keys {
		if sig.CheckKeyIdOrFingerprint(e.PrimaryKey) {
			self, _ := e.PrimarySelfSignature()
			return &openpgp.Key{Entity: e, PublicKey: e.PrimaryKey, SelfSignature: self, Revocations: e.Revocations}
		}
		for _, sub := range e.Subkeys {
			if sig.CheckKeyIdOrFingerprint(sub.PublicKey) {
				return &openpgp.Key{Entity: e, PublicKey: sub.PublicKey, SelfSignature: sub.Sig, Revocations: sub.Revocations}
			}
		}
	}
	return nil
}

// checkKey refuses a signature whose key, or that key's primary key, is
// expired or revoked, and one that is itself expired or not made yet.
func checkKey(key *openpgp.Key, sig *packet.Signature, now time.Time) error {
	primary, _ := key.Entity.PrimarySelfSignature()
	switch {
	case primary == nil || key.SelfSignature == nil:
		return errors.New("has no signature of its own")
	case key.SelfSignature.FlagsValid && !key.SelfSignature.FlagSign:
		return errors.New("is not a signing key")
	case key.Entity.Revoked(now) || key.Revoked(now):
		return errors.New("is revoked")
	case key.Entity.PrimaryKey.KeyExpired(primary, now):
		return expired(key.Entity.PrimaryKey, primary)
	case key.PublicKey.KeyExpired(key.SelfSignature, now):
		return expired(key.PublicKey, key.SelfSignature)
	case sig.SigExpired(now) && !sig.CreationTime.After(now):
		return errors.New("signature expired")
	case sig.CreationTime.After(now.Add(clockSkew)):
		return fmt.Errorf("signature was made in the future (%s): check this machine's clock", sig.CreationTime.UTC().Format(time.RFC3339))
	}
	return nil
}

func expired(key *packet.PublicKey, self *packet.Signature) error {
	if self.KeyLifetimeSecs == nil || *self.KeyLifetimeSecs == 0 {
		return fmt.Errorf("is valid only from %s: check this machine's clock", key.CreationTime.UTC().Format(time.RFC3339))
	}
	at := key.CreationTime.Add(time.Duration(*self.KeyLifetimeSecs) * time.Second)
	return fmt.Errorf("expired on %s", at.UTC().Format(time.RFC3339))
}

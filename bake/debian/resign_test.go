package debian

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/binary"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// weakSign signs text with SHA-1 by a new RSA key, which it puts in key's
// place. The signature is right but for its hash: the library does not make
// such ones, so the packet (RFC 4880, section 5.2.3) is written here.
func weakSign(t *testing.T, text string, key *openpgp.Entity) []byte {
	t.Helper()
	*key = *newRSAEntity(t)
	block, _ := clearsign.Decode(clearSign(t, text, key))
	head := []byte{4, byte(packet.SigTypeText), byte(packet.PubKeyAlgoRSA), 2, 0, 6, 5, 2}
	head = binary.BigEndian.AppendUint32(head, uint32(testNow.Unix()-3600))
	hash := sha1.New()
	hash.Write(block.Bytes)
	hash.Write(head)
	hash.Write(binary.BigEndian.AppendUint32([]byte{4, 0xff}, uint32(len(head))))
	digest := hash.Sum(nil)
	value, err := rsa.SignPKCS1v15(rand.Reader, key.PrivateKey.PrivateKey.(*rsa.PrivateKey), crypto.SHA1, digest)
	if err != nil {
		t.Fatal(err)
	}
	body := append(head, 0, 10, 9, 16)
	body = binary.BigEndian.AppendUint64(body, key.PrimaryKey.KeyId)
	body = append(body, digest[:2]...)
	body = binary.BigEndian.AppendUint16(body, uint16(len(value)*8))
	body = append(body, value...)
	return armoured(t, text, binary.BigEndian.AppendUint32([]byte{0xc2, 0xff}, uint32(len(body))), body)
}

func newRSAEntity(t *testing.T) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("weak", "", "weak@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, DefaultHash: crypto.SHA256, Time: testNow.AddDate(-1, 0, 0).Local,
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// armoured is a clear-signed message with that signature.
func armoured(t *testing.T, text string, parts ...[]byte) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("-----BEGIN PGP SIGNED MESSAGE-----\n\n" + text + "\n")
	w, err := armor.Encode(&out, openpgp.SignatureType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Join(parts, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestWeakSignatureIsRight holds that only the hash is wrong with what
// weakSign makes: the key verifies it.
func TestWeakSignatureIsRight(t *testing.T) {
	key := new(openpgp.Entity)
	block, rest := clearsign.Decode(weakSign(t, "Suite: s\n", key))
	if block == nil || len(rest) != 0 {
		t.Fatal("not a signed message")
	}
	p, err := packet.NewReader(block.ArmoredSignature.Body).Next()
	if err != nil {
		t.Fatal(err)
	}
	hash := sha1.New()
	hash.Write(block.Bytes)
	if err := key.PrimaryKey.VerifySignature(hash, p.(*packet.Signature)); err != nil {
		t.Error(err)
	}
}

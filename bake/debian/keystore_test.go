package debian

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// jks makes a keystore of certificates.
func jks(at time.Time, aliases ...string) []byte {
	out := binary.BigEndian.AppendUint32(nil, jksMagic)
	out = binary.BigEndian.AppendUint32(out, 2)
	out = binary.BigEndian.AppendUint32(out, uint32(len(aliases)))
	text := func(s string) {
		out = binary.BigEndian.AppendUint16(out, uint16(len(s)))
		out = append(out, s...)
	}
	for _, alias := range aliases {
		out = binary.BigEndian.AppendUint32(out, jksTrusted)
		text(alias)
		out = binary.BigEndian.AppendUint64(out, uint64(at.UnixMilli()))
		text("X.509")
		out = binary.BigEndian.AppendUint32(out, 3)
		out = append(out, 1, 2, 3)
	}
	return append(out, jksDigest(out)...)
}

func TestKeystore(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	want := jks(at, "a", "b", "c")
	got, err := normaliseKeystore(jks(time.Now(), "c", "a", "b"), at)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %x (%v), want %x", got, err, want)
	}
	other := jks(at, "a")
	other[len(other)-1] ^= 1 // as with another password
	for name, data := range map[string][]byte{"empty": nil, "pkcs12": {0x30, 0x82}, "other password": other} {
		if got, err := normaliseKeystore(data, at); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: changed, %v", name, err)
		}
	}
	lying := binary.BigEndian.AppendUint32(jks(at)[:8], 7)
	lying = append(lying, make([]byte, 9)...)
	if _, err := normaliseKeystore(append(lying, jksDigest(lying)...), at); !errors.Is(err, errKeystore) {
		t.Errorf("missing entries: %v", err)
	}
}

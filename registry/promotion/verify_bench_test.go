package promotion

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"testing"
	"time"

	"kiln/sign"
)

// BenchmarkVerifyResolution is what a deployer pays for an answer with both
// keys; BenchmarkECDSAVerify beside it is the yardstick.
func BenchmarkVerifyResolution(b *testing.B) {
	w := newWorld(b)
	w.to("dev", w.baked(shop, "a"))
	r := w.resolve(shop, "dev")
	trust, err := w.service.Trust(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	crowd := w.crowded(trust, 20)
	for name, o := range map[string]VerifyOptions{
		"keys":  {BakeKeys: [][]byte{w.bake.PublicPEM()}, PromotionKeys: [][]byte{w.promote.PublicPEM()}},
		"trust": {Trust: &trust},
		"crowd": {Trust: &crowd},
	} {
		o.Image, o.Channel, o.Now = shop, "dev", w.clock.Now
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := VerifyResolution(b.Context(), r, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// crowded puts n other keys before those of a trust.
func (w *world) crowded(t Trust, n int) Trust {
	w.Helper()
	out := t
	out.Entries = nil
	for range n {
		_, key, err := sign.GenerateKey(nil)
		if err != nil {
			w.Fatal(err)
		}
		for _, role := range []Role{RoleBake, RolePromote} {
			e, err := newTrustEntry(TrustRequest{Role: role, Key: string(key)}, time.Unix(0, 0))
			if err != nil {
				w.Fatal(err)
			}
			out.Entries = append(out.Entries, e)
		}
	}
	out.Entries = append(out.Entries, t.Entries...)
	return out
}

func BenchmarkECDSAVerify(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("what is signed"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !ecdsa.VerifyASN1(&key.PublicKey, sum[:], sig) {
			b.Fatal("not verified")
		}
	}
}

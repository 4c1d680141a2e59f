package promotion

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"slices"
	"strings"
	"time"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// tamperedAnswers are what a hostile server or a network makes of an answer.
func tamperedAnswers() []tampered {
	verification := kind(KindVerification)
	field := func(change func(*victim, *Resolution)) func(*victim) {
		return func(v *victim) { change(v, &v.answer) }
	}
	bundle := func(predicateType string, change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.bundles(predicateType, change) }
	}
	swapped := func(v *victim, r *Resolution) {
		r.Evidence = slices.Clone(r.Evidence)
		at := func(p string) int {
			return slices.IndexFunc(r.Evidence, func(e Evidence) bool { return e.PredicateType == p })
		}
		a, b := at(sign.SignaturePredicate), at(sign.ProvenancePredicate)
		r.Evidence[a].Bundle, r.Evidence[b].Bundle = r.Evidence[b].Bundle, r.Evidence[a].Bundle
	}
	toolbox := func(v *victim) Resolution { return v.resolve("acme/toolbox", "dev") }
	return []tampered{
		{"digest", field(func(v *victim, r *Resolution) { r.Digest, r.Reference = v.b, shop+"@"+string(v.b) }), answers, verification, "another digest"},
		{"digest in capitals", field(func(_ *victim, r *Resolution) { r.Digest = digest.Digest(strings.ToUpper(string(r.Digest))) }), answers, verification, "the answer"},
		{"digest that is a path", field(func(_ *victim, r *Resolution) { r.Digest = "sha256:../../x" }), answers, verification, "the answer"},
		{"reference to another digest", field(func(v *victim, r *Resolution) { r.Reference = shop + "@" + string(v.b) }), answers, verification, "reference"},
		{"reference to another image", field(func(_ *victim, r *Resolution) { r.Reference = strings.Replace(r.Reference, "shop", "toolbox", 1) }), answers, verification, "reference"},
		{"reference by a tag", field(func(_ *victim, r *Resolution) { r.Reference = shop + ":latest" }), answers, verification, "reference"},
		{"reference with a tag and a digest", field(func(v *victim, r *Resolution) { r.Reference = shop + ":latest@" + string(v.a) }), answers, verification, "reference"},
		{"image", field(func(_ *victim, r *Resolution) { r.Image = "acme/toolbox" }), answers, verification, "the answer is about"},
		{"channel", field(func(_ *victim, r *Resolution) { r.Channel = "prod" }), answers, verification, "the answer is about"},
		{"number raised", field(func(_ *victim, r *Resolution) { r.Sequence++ }), answers, verification, "the statement has the sequence"},
		{"number lowered", field(func(_ *victim, r *Resolution) { r.Sequence-- }), answers, verification, "the statement has the sequence"},
		{"revoked", field(func(_ *victim, r *Resolution) { r.Revoked = true }), answers, kind(KindRevoked), "is revoked"},
		{"acme/toolbox's, renamed", field(func(v *victim, r *Resolution) {
			*r = toolbox(v)
			r.Image, r.Reference = shop, shop+"@"+string(r.Digest)
		}), answers, verification, "the statement is about acme/toolbox"},
		{"staging's, renamed", field(func(v *victim, r *Resolution) { *r = v.resolve(shop, "staging"); r.Channel = "dev" }), answers, verification, "the statement is about acme/shop staging"},
		{"another store's", field(func(v *victim, r *Resolution) { *r = v.other.resolve(shop, "dev") }), answers, verification, "the statement is of store"},
		{"evidence of acme/toolbox", field(func(v *victim, r *Resolution) { r.Evidence = toolbox(v).Evidence }), answers, verification, "has no signature"},
		{"evidence of acme/toolbox, by keys alone", field(func(v *victim, r *Resolution) { r.Evidence = toolbox(v).Evidence }), answersByKeys, verification, "has no signature"},
		{"no evidence", field(func(_ *victim, r *Resolution) { r.Evidence = nil }), answers, verification, "has no signature"},
		{"signature and provenance swapped", field(swapped), answers, verification, "predicate type"},
		{"provenance called SBOM", field(func(_ *victim, r *Resolution) {
			r.Evidence = slices.Clone(r.Evidence)
			for i := range r.Evidence {
				if r.Evidence[i].PredicateType == sign.ProvenancePredicate {
					r.Evidence[i].PredicateType = sign.SPDXPredicate
				}
			}
		}), answers, verification, "has no provenance"},
		{"signature, a byte in the middle", bundle(sign.SignaturePredicate, flipped(middle)), answers, verification, "has no signature"},
		{"signature's bundle, first byte", bundle(sign.SignaturePredicate, flipped(first)), answers, verification, "has no signature"},
		{"signature's bundle cut", bundle(sign.SignaturePredicate, cut), answers, verification, "has no signature"},
		{"signature's bundle twice", bundle(sign.SignaturePredicate, func(b []byte) []byte { return append(slices.Clone(b), b...) }), answers, verification, "has no signature"},
		{"provenance, a byte in the middle", bundle(sign.ProvenancePredicate, flipped(middle)), answers, verification, "has no provenance"},
		{"provenance's bundle, last byte", bundle(sign.ProvenancePredicate, flipped(last)), answers, verification, "has no provenance"},
		{"SBOM, a byte in the middle", bundle(sign.SPDXPredicate, flipped(middle)), answers, verification, "no attestation of type"},
		{"SBOM gone", bundle(sign.SPDXPredicate, func([]byte) []byte { return nil }), answers, verification, "no attestation of type"},
		{"bundle of another payload type", bundle(sign.ProvenancePredicate, replaced("vnd.in-toto", "vnd.inapto")), answers, verification, "payload type"},
		{"bundle of another media type", bundle(sign.ProvenancePredicate, replaced("v0.3", "v0.9")), answers, verification, "media type"},
		{"bundle with a payload twice", bundle(sign.ProvenancePredicate, replaced(`"payload":`, `"payload":"e30=","payload":`)), answers, verification, "payload"},
		{"bundle with a payload in capitals", bundle(sign.ProvenancePredicate, replaced(`"payload":`, `"Payload":"e30=","payload":`)), answers, verification, "Payload"},
	}
}

// tamperedStatements are what a channel is said to hold.
func tamperedStatements() []tampered {
	verification := kind(KindVerification)
	says := func(change func(*victim, *sign.Statement, *Statement)) func(*victim) {
		return func(v *victim) {
			v.statement(v.promote, func(st *sign.Statement, p *Statement) { change(v, st, p) })
		}
	}
	by := func(key func(*victim) *sign.Signer) func(*victim) {
		return func(v *victim) { v.statement(key(v), func(*sign.Statement, *Statement) {}) }
	}
	envelope := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.answer.Statement = change(v.answer.Statement) }
	}
	// predicate is a statement's text, with more in it.
	predicate := func(old, next string) func(*victim) {
		return says(func(v *victim, st *sign.Statement, p *Statement) {
			text, _ := json.Marshal(p)
			st.Predicate = replaced(old, next)(text)
		})
	}
	return []tampered{
		{"by the bake key", by(func(v *victim) *sign.Signer { return v.bake }), answers, verification, "known key"},
		{"by the bake key, by keys alone", by(func(v *victim) *sign.Signer { return v.bake }), answersByKeys, verification, "known key"},
		{"by an approver", by(func(v *victim) *sign.Signer { return v.stranger }), answers, verification, "known key"},
		{"by whom nobody trusts", by(func(v *victim) *sign.Signer { return v.nobody }), answers, verification, "known key"},
		{"of another image", says(func(_ *victim, st *sign.Statement, _ *Statement) { st.Subject.Name = "acme/toolbox" }), answers, verification, "the statement is about acme/toolbox"},
		{"of the image at a registry", says(func(_ *victim, st *sign.Statement, _ *Statement) { st.Subject.Name = "example.com/" + shop }), answers, verification, "the statement is about example.com/acme/shop"},
		{"of another digest", says(func(v *victim, st *sign.Statement, _ *Statement) { st.Subject.Digest = v.b }), answers, verification, "another digest"},
		{"of another channel", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.Channel = "prod" }), answers, verification, "the statement is about acme/shop prod"},
		{"of another store with the same names", says(func(v *victim, _ *sign.Statement, p *Statement) { p.StoreID = "another" }), answers, verification, `of store "another"`},
		{"of no store", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.StoreID = "" }), answers, verification, "of store"},
		{"that is a record", says(func(_ *victim, st *sign.Statement, _ *Statement) { st.PredicateType = RecordPredicateType }), answers, verification, "predicate type"},
		{"with another number", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.Sequence++ }), answers, verification, "the statement has the sequence"},
		{"with the number zero", says(func(v *victim, _ *sign.Statement, p *Statement) { p.Sequence = 0; v.answer.Sequence = 0 }), answers, verification, "the statement has the sequence"},
		{"with a number seen before", says(func(v *victim, _ *sign.Statement, p *Statement) { p.Sequence = 1; v.answer.Sequence = 1 }), answers, verification, "older"},
		{"issued before one that was seen", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.Issued = p.Issued.Add(-3 * time.Hour) }), answers, verification, "older"},
		{"expired", says(func(_ *victim, _ *sign.Statement, p *Statement) {
			p.Issued, p.Expires = p.Issued.Add(-day), p.Issued.Add(-time.Second)
		}), answers, verification, "expired"},
		{"that expires before it is issued", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.Expires = p.Issued.Add(-time.Second) }), answers, verification, "names no time"},
		{"without a time", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.Issued, p.Expires = time.Time{}, time.Time{} }), answers, verification, "names no time"},
		{"from the future", says(func(_ *victim, _ *sign.Statement, p *Statement) { p.Issued = p.Issued.Add(2 * MaxSkew) }), answers, verification, "in the future"},
		{"older than is accepted", says(func(v *victim, _ *sign.Statement, p *Statement) {
			v.opts.Seen, p.Issued = nil, p.Issued.Add(-21*time.Hour)
		}), answers, verification, "old, more than"},
		{"with two channels", predicate(`"channel":"dev"`, `"channel":"prod","channel":"dev"`), answers, verification, "there twice"},
		{"with two channels, one in capitals", predicate(`"channel":"dev"`, `"channel":"prod","Channel":"dev"`), answers, verification, "there twice"},
		{"with two channels, one escaped", predicate(`"channel":"dev"`, `"channel":"prod","\u0063hannel":"dev"`), answers, verification, "there twice"},
		{"with two stores, one by a letter that folds", predicate(`"store_id":`, `"store_id":"another","ſtore_id":`), answers, verification, "there twice"},
		{"first byte", envelope(flipped(first)), answers, verification, "envelope"},
		{"a byte in the middle", envelope(flipped(middle)), answers, verification, "statement of"},
		{"cut", envelope(cut), answers, verification, "envelope"},
		{"twice", envelope(func(b []byte) []byte { return append(slices.Clone(b), b...) }), answers, verification, "envelope"},
		{"of a megabyte", envelope(func(b []byte) []byte { return append(slices.Clone(b), bytes.Repeat([]byte(" "), 1<<20)...) }), answers, verification, "at most"},
		{"of another payload type", envelope(replaced("vnd.in-toto", "vnd.inapto")), answers, verification, "payload type"},
		{"with another payload beside", envelope(replaced(`"payload":`, `"Payload":"e30=","payload":`)), answers, verification, "there twice"},
		{"without a signature", signatures(func(list []any) []any { return []any{} }), answers, verification, "0 signatures"},
		{"with eleven signatures", signatures(func(list []any) []any { return slices.Repeat(list, 11) }), answers, verification, "11 signatures"},
		{"with an empty signature", signatures(func(list []any) []any { return []any{map[string]any{"sig": ""}} }), answers, verification, "0 bytes"},
		{"with the signature of another", func(v *victim) {
			stolen := v.resolve(shop, "staging").Statement
			signatures(func([]any) []any { return opened(v, stolen)["signatures"].([]any) })(v)
		}, answers, verification, "known key"},
	}
}

func opened(v *victim, envelope []byte) map[string]any {
	v.Helper()
	var e map[string]any
	if err := json.Unmarshal(envelope, &e); err != nil {
		v.Fatal(err)
	}
	return e
}

// signatures changes those of the answer's statement.
func signatures(change func([]any) []any) func(*victim) {
	return func(v *victim) {
		e := opened(v, v.answer.Statement)
		e["signatures"] = change(e["signatures"].([]any))
		v.answer.Statement, _ = json.Marshal(e)
	}
}

// tamperedKeys are what a deployer holds, gone wrong.
func tamperedKeys() []tampered {
	entries := func(change func(*victim, *Trust)) func(*victim) {
		return func(v *victim) {
			t := *v.opts.Trust
			t.Entries = slices.Clone(t.Entries)
			change(v, &t)
			v.opts.Trust = &t
		}
	}
	key := func(change func(*victim, string) string) func(*victim) {
		return entries(func(v *victim, t *Trust) { t.Entries[0].Key = change(v, t.Entries[0].Key) })
	}
	date := func(i int, change func(*TrustEntry, time.Time)) func(*victim) {
		return entries(func(v *victim, t *Trust) { change(&t.Entries[i], v.clock.Now()) })
	}
	verification, invalid, denied := kind(KindVerification), kind(KindInvalid), kind(KindDenied)
	return []tampered{
		{"nobody", entries(func(_ *victim, t *Trust) { t.Entries = nil }), answers, denied, "lists nobody"},
		{"another's for baking", entries(func(v *victim, t *Trust) { t.Entries[0] = v.entry(RoleBake, v.nobody) }), answers, verification, "known key"},
		{"another's for promoting", entries(func(v *victim, t *Trust) { t.Entries[1] = v.entry(RolePromote, v.nobody) }), answers, verification, "known key"},
		{"the two exchanged", entries(func(v *victim, t *Trust) {
			t.Entries[0], t.Entries[1] = v.entry(RoleBake, v.promote), v.entry(RolePromote, v.bake)
		}), answers, verification, "known key"},
		{"for other images", entries(func(_ *victim, t *Trust) { t.Entries[0].Image = "acme/toolbox" }), answers, denied, "lists nobody who may bake"},
		{"for other channels", entries(func(_ *victim, t *Trust) { t.Entries[1].Channels = []string{"prod"} }), answers, denied, "for channel dev"},
		{"expired for baking", date(0, func(e *TrustEntry, now time.Time) { e.NotAfter = in(now.Add(-time.Second)) }), answers, verification, "expired"},
		{"expired for promoting", date(1, func(e *TrustEntry, now time.Time) { e.NotAfter = in(now.Add(-time.Second)) }), answers, verification, "expired"},
		{"not valid yet", date(0, func(e *TrustEntry, now time.Time) { e.NotBefore = in(now.Add(time.Hour)) }), answers, verification, "not valid yet"},
		{"that ends before it begins", date(0, func(e *TrustEntry, now time.Time) { e.NotBefore, e.NotAfter = in(now), in(now.Add(-day)) }), answers, invalid, "is before"},
		{"two in one file", key(func(v *victim, k string) string { return k + string(v.nobody.PublicPEM()) }), answers, invalid, "more than one PEM block"},
		{"cut", key(func(_ *victim, k string) string { return k[:len(k)/2] }), answers, invalid, "not PEM"},
		{"a byte in the middle", key(func(_ *victim, k string) string { return strings.Replace(k, "MFkw", "MFkx", 1) }), answers, invalid, "unusable key"},
		{"a private key", key(func(_ *victim, k string) string { return strings.ReplaceAll(k, "PUBLIC KEY", "PRIVATE KEY") }), answers, invalid, "not a public key"},
		{"P-224", key(func(v *victim, _ string) string { return weak(v, elliptic.P224()) }), answers, invalid, "P-224"},
		{"RSA of 1024 bits", key(func(v *victim, _ string) string { return weak(v, nil) }), answers, invalid, "1024 bits"},
		{"a megabyte", key(func(_ *victim, k string) string { return k + strings.Repeat("\n", 1<<20) }), answers, invalid, "at most"},
		{"keys beside a trust", func(v *victim) { v.opts.BakeKeys = [][]byte{v.nobody.PublicPEM()} }, answers, invalid, "keys beside it"},
	}
}

// weak is the PEM of a key on a curve, of RSA with 1024 bits without.
func weak(v *victim, curve elliptic.Curve) string {
	v.Helper()
	var public any
	if curve == nil {
		key, err := x509.ParsePKCS1PublicKey(smallRSA())
		if err != nil {
			v.Fatal(err)
		}
		public = key
	} else {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			v.Fatal(err)
		}
		public = key.Public()
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		v.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// smallRSA is a modulus of 1024 bits, which Go makes no keys of any more.
func smallRSA() []byte {
	var key rsa.PublicKey
	key.E = 65537
	key.N = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 1024), big.NewInt(1))
	return x509.MarshalPKCS1PublicKey(&key)
}

// tamperedClocks are clocks of deployers and of who promotes.
func tamperedClocks() []tampered {
	verification := kind(KindVerification)
	moved := func(d time.Duration) func(*victim) { return func(v *victim) { v.clock.Add(d) } }
	return []tampered{
		{"behind by two hours", moved(-2*MaxSkew - time.Hour), answers, verification, "in the future"},
		{"ahead by the age that is accepted", moved(21 * time.Hour), answers, verification, "old, more than"},
		{"ahead by the life of a statement", moved(EmbeddedLifetime), answers, verification, "expired"},
		{"ahead by years", moved(3650 * day), answers, verification, "expired"},
		{"remembered answers damaged", func(v *victim) {
			if err := os.WriteFile(v.opts.Seen.path(v.opts.StoreID, shop, "dev"), []byte("{}"), 0o600); err != nil {
				v.Fatal(err)
			}
		}, answers, kind(KindInternal), "is damaged"},
		{"remembered answers of another channel", func(v *victim) {
			s := v.opts.Seen
			text, _ := json.Marshal(Mark{StoreID: v.opts.StoreID, Image: shop, Channel: "prod", Sequence: 1})
			if err := os.WriteFile(s.path(v.opts.StoreID, shop, "dev"), text, 0o600); err != nil {
				v.Fatal(err)
			}
		}, answers, kind(KindInternal), "is damaged"},
		{"a promotion since, played back", func(v *victim) {
			old := v.answer
			v.to("dev", v.b)
			if err := resolves(v); err != nil {
				v.Fatal(err)
			}
			v.answer = old
		}, answers, verification, "older"},
	}
}

package promotion

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func readAll(t testing.TB, r io.Reader) []byte {
	t.Helper()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// tamperedContent are other bytes under a digest, in the store.
func tamperedContent() []tampered {
	manifest := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.a, change) }
	}
	layer := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.a).Layers[0].Digest, change) }
	}
	config := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.a).Config.Digest, change) }
	}
	other := func(v *victim) { // the bytes of another version, whole
		_, content, err := v.registry.Manifest(v.Context(), shop, v.b)
		if err != nil {
			v.Fatal(err)
		}
		v.blob(v.a, func([]byte) []byte { return content })
	}
	damaged := kind(KindVerification)
	return []tampered{
		{"manifest, first byte", manifest(flipped(first)), resolves, damaged, "do not match"},
		{"manifest, a byte in the middle", manifest(flipped(middle)), resolves, damaged, "do not match"},
		{"manifest, last byte", manifest(flipped(last)), resolves, damaged, "do not match"},
		{"manifest cut", manifest(cut), resolves, damaged, "do not match"},
		{"manifest grown", manifest(grown), resolves, damaged, "do not match"},
		{"manifest of another version", other, resolves, damaged, "do not match"},
		{"manifest as a deployer pulls it", other, answers, damaged, "do not match"},
		{"manifest before a promotion", manifest(flipped(middle)), promotes, damaged, "do not match"},
		{"layer, first byte", layer(flipped(first)), pulls, damaged, "digest"},
		{"layer cut", layer(cut), pulls, damaged, "content has digest"},
		{"layer grown", layer(grown), pulls, damaged, "content has digest"},
		{"layer of another version", func(v *victim) {
			v.blob(v.manifest(v.a).Layers[0].Digest, func([]byte) []byte { return []byte("b") })
		}, pulls, damaged, "digest"},
		{"config, a byte in the middle", config(flipped(middle)), resolves, damaged, "content has digest"},
		{"config for another machine", config(replaced("amd64", "arm64")), resolves, damaged, "content has digest"},
		{"config as it is pulled", config(replaced("{}", `{"Entrypoint":["/evil"]}`)), pulls, damaged, "content has digest"},
	}
}

// tamperedEvidence is what lies beside the image in the store.
func tamperedEvidence() []tampered {
	invalid, unsigned, damaged := is(sign.ErrInvalid), is(sign.ErrUnsigned), kind(KindVerification)
	bundle := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.referrer(sign.ProvenancePredicate)).Layers[0].Digest, change) }
	}
	referrer := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.referrer(sign.ProvenancePredicate), change) }
	}
	provenance := attested(sign.ProvenancePredicate)
	return []tampered{
		{"bundle, first byte", bundle(flipped(first)), provenance, damaged, "content has digest"},
		{"bundle, a byte in the middle", bundle(flipped(middle)), provenance, damaged, "content has digest"},
		{"bundle, last byte", bundle(flipped(last)), provenance, damaged, "content has digest"},
		{"bundle cut", bundle(cut), provenance, damaged, "content has digest"},
		{"bundle grown", bundle(grown), provenance, invalid, "not of"},
		{"manifest of a bundle", referrer(flipped(middle)), provenance, damaged, "content has digest"},
		{"manifest of a bundle without a subject", referrer(func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"subject"`), []byte(`"Subject"`), 1)
		}), provenance, damaged, "content has digest"},
		{"signatures gone", func(v *victim) { v.unsign() }, signed, unsigned, "no signature"},
		{"signatures gone, before a promotion", func(v *victim) { v.unsign() }, promotes, kind(KindDenied), "signature"},
		{"signatures by whom nobody trusts", func(v *victim) { v.unsign(); v.sign(v.nobody, shop, v.described(v.a)) }, signed, invalid, "known key"},
		{"signatures by the promotion key", func(v *victim) { v.unsign(); v.sign(v.promote, shop, v.described(v.a)) }, promotes, kind(KindDenied), "signature"},
		{"signatures moved from acme/toolbox", func(v *victim) { v.unsign(); v.move(sign.SignaturePredicate) }, signed, invalid, `about image "acme/toolbox"`},
		{"provenance by the promotion key", func(v *victim) {
			v.strip(sign.ProvenancePredicate)
			v.attest(v.promote, shop, v.described(v.a), sign.ProvenancePredicate, provenanceOf(shop, "app"))
		}, promotes, kind(KindDenied), "provenance"},
		{"provenance by an approver", func(v *victim) {
			v.strip(sign.ProvenancePredicate)
			v.attest(v.stranger, shop, v.described(v.a), sign.ProvenancePredicate, provenanceOf(shop, "app"))
		}, promotes, kind(KindDenied), "provenance"},
		{"provenance of another image", func(v *victim) {
			v.strip(sign.ProvenancePredicate)
			v.attest(v.bake, shop, v.described(v.a), sign.ProvenancePredicate, provenanceOf("acme/toolbox", "app"))
		}, promotes, kind(KindDenied), "acme/toolbox"},
		{"evidence of acme/toolbox moved to acme/shop", func(v *victim) {
			v.unsign()
			for _, p := range []string{sign.SignaturePredicate, sign.ProvenancePredicate, sign.SPDXPredicate, sign.TestPredicate} {
				v.strip(p)
				v.move(p)
			}
		}, promotes, kind(KindDenied), "signature"},
		{"SBOM as provenance", func(v *victim) { v.relabel(sign.SPDXPredicate, sign.ProvenancePredicate) }, provenance, invalid, "predicate type"},
		{"SBOM by a stranger", func(v *victim) {
			v.strip(sign.SPDXPredicate)
			v.attest(v.nobody, shop, v.described(v.a), sign.SPDXPredicate, sbomOf("openssl 3.0.11"))
		}, promotes, kind(KindDenied), "sbom"},
		{"SBOM of another form than its type", func(v *victim) {
			v.strip(sign.SPDXPredicate)
			v.attest(v.bake, shop, v.described(v.a), sign.SPDXPredicate, map[string]any{"bomFormat": "CycloneDX"})
		}, promotes, kind(KindDenied), "sbom"},
		{"SBOM of another version", func(v *victim) {
			v.strip(sign.SPDXPredicate)
			v.attest(v.bake, shop, v.described(v.b), sign.SPDXPredicate, sbomOf("curl 8"))
			v.moveFrom(shop, v.b, sign.SPDXPredicate)
		}, attested(sign.SPDXPredicate), invalid, "another digest"},
		{"tests by a stranger", func(v *victim) {
			v.strip(sign.TestPredicate)
			v.attest(v.nobody, shop, v.described(v.a), sign.TestPredicate, map[string]any{"result": "PASSED"})
		}, promotes, kind(KindDenied), "test"},
		{"a summary by the bake key", func(v *victim) {
			v.strip(sign.SummaryPredicate)
			v.attest(v.bake, shop, v.described(v.a), sign.SummaryPredicate, map[string]any{"verificationResult": "PASSED"})
		}, func(v *victim) error {
			_, err := v.promote.Verifier().Attestations(v.Context(), v.registry, shop, v.a, sign.SummaryPredicate)
			return err
		}, invalid, "known key"},
	}
}

// strip removes all evidence of a type about a.
func (v *victim) strip(predicateType string) {
	v.Helper()
	for desc, err := range v.registry.Referrers(v.Context(), shop, v.a, sign.BundleMediaType) {
		if err != nil {
			v.Fatal(err)
		}
		if desc.Annotations[predicateAnnotation] == predicateType {
			v.drop(desc.Digest)
		}
	}
}

func (v *victim) drop(d digest.Digest) {
	v.Helper()
	if err := v.registry.DeleteManifest(v.Context(), shop, d); err != nil {
		v.Fatal(err)
	}
}

// unsign removes the signatures of a, in both layouts.
func (v *victim) unsign() {
	v.Helper()
	v.strip(sign.SignaturePredicate)
	desc, err := v.registry.Tag(v.Context(), shop, "sha256-"+v.a.Encoded()+".sig")
	if err != nil {
		v.Fatal(err)
	}
	v.drop(desc.Digest)
}

// move attaches to a what is attached to the version of acme/toolbox.
func (v *victim) move(predicateType string) { v.moveFrom("acme/toolbox", v.tool, predicateType) }

func (v *victim) moveFrom(image string, d digest.Digest, predicateType string) {
	v.Helper()
	for desc, err := range v.registry.Referrers(v.Context(), image, d, sign.BundleMediaType) {
		if err != nil {
			v.Fatal(err)
		}
		if desc.Annotations[predicateAnnotation] == predicateType {
			v.reattach(image, desc.Digest, predicateType)
		}
	}
}

// relabel attaches again what is of a type, as of another, and removes what was.
func (v *victim) relabel(from, to string) {
	v.Helper()
	d := v.referrer(from)
	v.strip(to)
	v.reattach(shop, d, to)
}

// reattach makes evidence that lies somewhere a referrer of a.
func (v *victim) reattach(image string, d digest.Digest, predicateType string) {
	v.Helper()
	_, content, err := v.registry.Manifest(v.Context(), image, d)
	if err != nil {
		v.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		v.Fatal(err)
	}
	for _, desc := range append(slices.Clone(m.Layers), m.Config) {
		r, err := v.registry.OpenBlob(v.Context(), image, desc.Digest, 0, -1)
		if err != nil {
			v.Fatal(err)
		}
		defer r.Close()
		v.push(shop, readAll(v, r))
	}
	subject := v.described(v.a)
	m.Subject = &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	m.Annotations[predicateAnnotation] = predicateType
	content, err = json.Marshal(m)
	if err == nil {
		_, err = v.registry.PushManifest(v.Context(), shop, registry.Manifest{MediaType: m.MediaType, Content: content})
	}
	if err != nil {
		v.Fatal(err)
	}
}

// tamperedLedgers are records, in the store.
func tamperedLedgers() []tampered {
	verification := kind(KindVerification)
	head := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.head(), change) }
	}
	envelope := func(change func([]byte) []byte) func(*victim) {
		return func(v *victim) { v.blob(v.manifest(v.head()).Layers[0].Digest, change) }
	}
	older := func(v *victim) { v.blob(v.manifest(v.made.Record).Layers[0].Digest, flipped(middle)) }
	// newer puts a record at the head that somebody made.
	newer := func(by func(*victim) *sign.Signer, change func(*victim, *Record)) func(*victim) {
		return func(v *victim) {
			v.expire()
			d := v.record(by(v), func(r *Record) { change(v, r) })
			v.state(func(s *state) { s.Head = d; s.Sequence++ })
		}
	}
	promoter := func(v *victim) *sign.Signer { return v.promote }
	return []tampered{
		{"record's manifest, first byte", head(flipped(first)), recounts, verification, "content has digest"},
		{"record's manifest grown", head(grown), recounts, verification, "content has digest"},
		{"record's envelope, a byte in the middle", envelope(flipped(middle)), recounts, verification, "content has digest"},
		{"record's envelope cut", envelope(cut), recounts, verification, "content has digest"},
		{"an older record", older, recounts, verification, "content has digest"},
		{"an older record, that dates evidence", older, decidesFromStore, verification, "content has digest"},
		{"head that is a record of another image", func(v *victim) {
			st, err := v.service.state(v.Context(), "acme/toolbox")
			if err != nil {
				v.Fatal(err)
			}
			v.carry("acme/toolbox", st.Head)
			v.state(func(s *state) { s.Head = st.Head })
		}, recounts, verification, "it is of the ledger of acme/toolbox"},
		{"head that is a record of another store", func(v *victim) {
			d := v.record(v.promote, func(r *Record) { r.StoreID = "another" })
			v.state(func(s *state) { s.Head = d; s.Sequence++ })
		}, recounts, verification, "in store another"},
		{"head that is no record", func(v *victim) { v.state(func(s *state) { s.Head = v.a }) }, recounts, kind(KindInternal), "no record"},
		{"a record left out of the chain", newer(promoter, func(v *victim, r *Record) { r.PrevRecord = v.made.Record }), recounts, verification, "does not precede"},
		{"a number left out of the chain", newer(promoter, func(_ *victim, r *Record) { r.Sequence++ }), recounts, verification, "does not precede"},
		{"head by whom nobody trusts", newer(func(v *victim) *sign.Signer { return v.nobody }, func(_ *victim, r *Record) { r.Channel = "prod" }), renews, kind(KindDenied), "not by a promotion key"},
		{"head by the bake key", newer(func(v *victim) *sign.Signer { return v.bake }, func(_ *victim, r *Record) { r.Channel = "prod" }), renews, kind(KindDenied), "not by a promotion key"},
		{"a record that the head does not reach lets nothing into prod", func(v *victim) {
			// b's record for staging is signed, stored and linked, and no more.
			if err := v.service.link(v.Context(), shop, v.lost); err != nil {
				v.Fatal(err)
			}
			v.a = v.b
		}, promotes, kind(KindDenied), "never in staging"},
		{"a record that the head does not reach is no decision", func(v *victim) { v.made.Record = v.lost }, decidesFromStore, kind(KindNotFound), "no decision and no record"},
	}
}

// decidesFromStore finds the record of the decision in the ledger.
func decidesFromStore(v *victim) error {
	_, err := v.service.Decisions(v.Context(), DecisionsRequest{Image: shop, Record: v.made.Record})
	return err
}

func (v *victim) head() digest.Digest {
	v.Helper()
	st, err := v.service.state(v.Context(), shop)
	if err != nil {
		v.Fatal(err)
	}
	return st.Head
}

// expire is so much later that statements are due to be issued anew.
func (v *victim) expire() { v.clock.Add(16 * day) }

// carry links a record of another image as one of the shop.
func (v *victim) carry(image string, d digest.Digest) {
	v.Helper()
	s, err := v.service.recordManifest(v.Context(), image, d)
	if err != nil {
		v.Fatal(err)
	}
	envelope, err := v.service.envelope(v.Context(), image, d)
	if err != nil {
		v.Fatal(err)
	}
	for _, content := range [][]byte{emptyJSON, envelope, s} {
		v.push(shop, content)
	}
}

// tamperedStates are edits of the pointer that says what channels hold. It is
// the word inside the store; nothing gets signed that promotion keys did not say.
func tamperedStates() []tampered {
	put := func(change func(*victim, *state, *channelState)) func(*victim) {
		return func(v *victim) {
			v.state(func(s *state) {
				c := s.Channels["dev"]
				change(v, s, &c)
				s.Channels["dev"] = c
			})
		}
	}
	later := func(change func(*victim, *state, *channelState)) func(*victim) {
		return func(v *victim) { v.expire(); put(change)(v) }
	}
	digestOnly := func(v *victim, _ *state, c *channelState) { c.Digest = v.b }
	return []tampered{
		{"another digest in a channel", put(digestOnly), resolves, kind(KindVerification), "another digest"},
		{"another digest in a channel, to be signed anew", later(digestOnly), renews, kind(KindDenied), "not said by a promotion key"},
		{"what staging holds in dev", later(func(v *victim, s *state, c *channelState) { *c = s.Channels["staging"] }), renews, kind(KindVerification), "is about acme/shop staging"},
		{"what a channel held before", func(v *victim) {
			old := v.answer.Statement
			v.to("dev", v.b)
			v.state(func(s *state) {
				c := s.Channels["dev"]
				c.Digest, c.Statement, c.Issue = v.a, old, issueIn(v, old)
				c.Sequence = c.Issue.Sequence
				s.Channels["dev"] = c
			})
		}, renews, kind(KindVerification), "moved it to"},
		{"a statement of another store", func(v *victim) {
			r := v.other.resolve(shop, "dev")
			put(func(_ *victim, s *state, c *channelState) {
				c.Statement, c.Issue = r.Statement, issueIn(v, r.Statement)
				c.Sequence = min(c.Sequence, c.Issue.Sequence)
			})(v)
		}, renews, kind(KindVerification), "in store"},
		{"a statement with another time", put(func(_ *victim, _ *state, c *channelState) { c.Issue.Issued = c.Issue.Issued.Add(-day) }), renews, kind(KindVerification), "issued"},
		{"a lower number", put(func(_ *victim, s *state, c *channelState) { s.Sequence = 1 }), resolves, kind(KindInternal), "do not fit"},
		{"a higher number", later(func(_ *victim, s *state, _ *channelState) { s.Sequence += 7 }), renews, kind(KindVerification), "its newest record is"},
		{"no statement", put(func(_ *victim, _ *state, c *channelState) { c.Statement = json.RawMessage("null") }), resolves, kind(KindVerification), "statement of"},
		{"an unknown schema", func(v *victim) { v.state(func(s *state) { s.Schema = "kiln.state/v9" }) }, resolves, kind(KindInternal), "unknown schema"},
		{"a channel gone", func(v *victim) { v.state(func(s *state) { delete(s.Channels, "dev") }) }, resolves, kind(KindNotFound), "holds nothing"},
		// The pointer is the authority inside the store; the record that is
		// still in the chain is found once the state does not answer alone.
		{"a revocation taken out of the state", func(v *victim) {
			v.revoke(v.a)
			v.expire()
			v.state(func(s *state) { s.Revoked = nil })
		}, resolves, kind(KindRevoked), "which the state does not know"},
	}
}

// issueIn is what a statement says of itself.
func issueIn(v *victim, envelope []byte) issue {
	v.Helper()
	var e struct{ Payload []byte }
	var p struct{ Predicate Statement }
	if err := json.Unmarshal(envelope, &e); err != nil {
		v.Fatal(err)
	}
	if err := json.Unmarshal(e.Payload, &p); err != nil {
		v.Fatal(err)
	}
	return issue{p.Predicate.Sequence, p.Predicate.Issued, p.Predicate.Expires}
}

// tamperedTrust are edits of the store's trust.
func tamperedTrust() []tampered {
	edit := func(old, next string) func(*victim) {
		return func(v *victim) { v.trustPointer(replaced(old, next)) }
	}
	entries := func(change func(*victim, *Trust)) func(*victim) {
		return func(v *victim) {
			v.trustPointer(func(b []byte) []byte {
				t, err := decodeTrust(b)
				if err != nil {
					v.Fatal(err)
				}
				change(v, &t)
				b, _ = json.Marshal(t)
				return b
			})
		}
	}
	broken := kind(KindInternal)
	return []tampered{
		{"unknown schema", edit("kiln.trust/v1", "kiln.trust/v2"), trusts, broken, "schema"},
		{"unknown role", edit(`"role":"bake"`, `"role":"root"`), trusts, broken, "role"},
		{"key id of another key", entries(func(v *victim, t *Trust) { t.Entries[0].KeyID = v.nobody.KeyID() }), trusts, broken, "id"},
		{"key of another id", entries(func(v *victim, t *Trust) { t.Entries[0].Key = string(v.nobody.PublicPEM()) }), trusts, broken, "id"},
		{"key that is none", entries(func(_ *victim, t *Trust) { t.Entries[0].Key = "x" }), trusts, broken, "PEM"},
		{"pattern that is none", edit(`"image":"**"`, `"image":"["`), trusts, broken, "pattern"},
		{"cut", func(v *victim) { v.trustPointer(cut) }, trusts, broken, "trust"},
		{"two documents", func(v *victim) { v.trustPointer(func(b []byte) []byte { return append(b, b...) }) }, trusts, broken, "trust"},
		{"nobody", entries(func(_ *victim, t *Trust) { t.Entries = nil }), promotes, kind(KindDenied), "not trusted to promote"},
		{"the baker gone", entries(func(v *victim, t *Trust) {
			t.Entries = slices.DeleteFunc(t.Entries, func(e TrustEntry) bool { return e.Role == RoleBake })
		}), promotes, kind(KindDenied), "signature"},
		{"the baker for other images", entries(func(v *victim, t *Trust) {
			for i, e := range t.Entries {
				if e.Role == RoleBake {
					t.Entries[i].Image = "acme/toolbox"
				}
			}
		}), promotes, kind(KindDenied), "signature"},
	}
}

// tamperedApprovals are words of who may approve.
func tamperedApprovals() []tampered {
	said := func(key func(*victim) *sign.Signer, change func(*victim, *ApprovalStatement)) func(*victim) {
		return func(v *victim) { v.approveAs(key(v), change) }
	}
	approver := func(v *victim) *sign.Signer { return v.stranger }
	denied := kind(KindDenied)
	none := func(*victim, *ApprovalStatement) {}
	return []tampered{
		{"of another digest", said(approver, func(v *victim, s *ApprovalStatement) { s.Digest = v.b }), approves, denied, "another digest"},
		{"of another image", said(approver, func(_ *victim, s *ApprovalStatement) { s.Image = "acme/toolbox" }), approves, denied, "about image"},
		{"of another channel", said(approver, func(_ *victim, s *ApprovalStatement) { s.Channel = "dev" }), approves, denied, `channel "dev"`},
		{"of another store", said(approver, func(_ *victim, s *ApprovalStatement) { s.StoreID = "another" }), approves, denied, "for store"},
		{"from the future", said(approver, func(v *victim, s *ApprovalStatement) { s.At = v.clock.Now().Add(day) }), approves, denied, "future"},
		{"by the bake key", said(func(v *victim) *sign.Signer { return v.bake }, none), approves, denied, "known key"},
		{"by the promotion key", said(func(v *victim) *sign.Signer { return v.promote }, none), approves, denied, "known key"},
		{"by whom nobody trusts", said(func(v *victim) *sign.Signer { return v.nobody }, none), approves, denied, "known key"},
		{"bytes of the word", func(v *victim) { v.blob(v.manifest(v.yes).Layers[0].Digest, flipped(middle)) }, approvedForProd, is(errNotCounted), "count"},
		{"the word gone", func(v *victim) { v.drop(v.yes) }, approvedForProd, is(errNotCounted), "count"},
		{"a word that no record names", func(v *victim) { v.a = v.b; v.attachWord() }, approvedForProd, is(errNotCounted), "count"},
		{"a record that the head does not reach", func(v *victim) {
			d := v.record(v.promote, func(r *Record) { r.Action, r.Channel, r.Digest, r.Evidence = ActionApprove, "prod", v.b, v.yes })
			if err := v.service.link(v.Context(), shop, d); err != nil {
				v.Fatal(err)
			}
			v.a = v.b
		}, approvedForProd, is(errNotCounted), "count"},
		{"approver listed no more", func(v *victim) {
			v.trustPointer(replaced(`"role":"approve"`, `"role":"bake"`))
		}, approvedForProd, is(errNotCounted), "count"},
	}
}

// approves hands in the approval of the victim.
func approves(v *victim) error {
	if v.word == nil {
		v.approveAs(v.stranger, func(*victim, *ApprovalStatement) {})
	}
	_, err := v.approves(ApproveRequest{Digest: v.a, Channel: "prod", Approval: v.word})
	return err
}

func (v *victim) approveAs(key *sign.Signer, change func(*victim, *ApprovalStatement)) {
	v.word = v.approval(key, v.a, "prod", func(s *ApprovalStatement) { change(v, s) })
}

// attachWord attaches a signed approval, of which no record knows.
func (v *victim) attachWord() {
	v.Helper()
	word := v.approval(v.stranger, v.a, "prod", nil)
	if _, err := v.service.attach(v.Context(), ApproveRequest{Image: shop, Digest: v.a, Approval: word}, v.described(v.a), v.clock.Now()); err != nil {
		v.Fatal(err)
	}
}

// tamperedDecisions are what a store hands out of a decision.
func tamperedDecisions() []tampered {
	verification := kind(KindVerification)
	return []tampered{
		{"record's envelope", func(v *victim) { v.made.Envelope = strings.Replace(v.made.Envelope, "payload", "Payload", 1) }, decides, verification, "envelope do not match"},
		{"record of another decision", func(v *victim) { v.replay.Asked = v.lost }, decides, verification, "the answer is about"},
		{"facts", func(v *victim) { v.made.Document = replaced(`"app"`, `"base"`)(v.made.Document) }, decides, verification, "not those that the decision names"},
		{"policy", func(v *victim) {
			v.made.Source = map[string]string{"open.rego": "package kiln\nallow := true\n"}
		}, decides, verification, "not the one that the decision names"},
		{"record of another store", func(v *victim) { v.replay.StoreID = "another" }, decides, verification, "of store"},
		{"record by an approver", func(v *victim) {
			v.replay.Trust.Entries = []TrustEntry{v.entry(RoleApprove, v.promote), v.entry(RolePromote, v.stranger)}
		}, decides, verification, "known key"},
	}
}

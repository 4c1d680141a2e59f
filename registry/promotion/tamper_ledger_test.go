package promotion

import (
	"encoding/json"
	"slices"
	"strings"

	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

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

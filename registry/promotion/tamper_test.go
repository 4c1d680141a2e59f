package promotion

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kiln/registry/contentstore"
	"kiln/registry/imagecopy"
	"kiln/registry/ocilayout"
	"kiln/registry/store"
	"kiln/registry/store/filestore"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tampered is one change, who must see it, and how it is refused.
type tampered struct {
	name   string
	change func(*victim)
	seen   check
	as     refusal
	text   string
}

// check is a verification of the untampered, which passes; then of the tampered.
type check func(*victim) error

// refusal says whether an error is the right one.
type refusal func(error) bool

func kind(k Kind) refusal { return func(err error) bool { return KindOf(err) == k } }

func is(target error) refusal { return func(err error) bool { return errors.Is(err, target) } }

// errNotCounted is what a check says of something that counts no more.
var errNotCounted = errors.New("it does not count")

// victim is a copy of one store, and what a deployer holds who asks for the
// shop's dev.
type victim struct {
	*world
	dir    string
	now    *clock
	a, b   digest.Digest // in dev and staging, approved for prod; in no channel
	tool   digest.Digest // of acme/toolbox, in dev
	answer Resolution
	opts   VerifyOptions
	made   Decision // that put a into staging
	replay ReplayOptions
	other  *world          // a store with the same names, keys and bytes
	nobody *sign.Signer    // whom nobody trusts
	lost   digest.Digest   // a record that the head does not reach: b into staging, by the promotion key
	yes    digest.Digest   // the manifest of the approval
	word   json.RawMessage // another approval, to be handed in
}

// newVictim makes the store that all are copies of.
func newVictim(t *testing.T) *victim {
	v := &victim{world: newWorld(t), other: newWorld(t), nobody: anyKey(t)}
	v.dir, v.now = v.store.(*filestore.Store).Dir(), v.clock
	v.other.to("dev", v.other.baked(shop, "a"))
	v.a, v.b, v.tool = v.baked(shop, "a"), v.baked(shop, "b"), v.baked("acme/toolbox", "a") // the same bytes
	v.approvers(v.stranger)
	v.to("dev", v.b)
	v.to("dev", v.a)
	v.clock.Add(time.Hour)
	v.made = v.decisionOf(v.to("staging", v.a).Record)
	yes, err := v.approves(ApproveRequest{Digest: v.a, Channel: "prod", Approval: v.approval(v.stranger, v.a, "prod", nil)})
	if err != nil {
		t.Fatal(err)
	}
	v.yes = yes.Evidence
	if _, err := v.service.Promote(t.Context(), PromoteRequest{Image: "acme/toolbox", Digest: v.tool, Channel: "dev"}); err != nil {
		t.Fatal(err)
	}
	v.lost = v.record(v.promote, func(r *Record) { r.Channel, r.Digest = "staging", v.b })
	return v
}

// copied is a copy of the store in a process that remembers nothing, with the
// answer and the options of a deployer.
func (v *victim) copied(t *testing.T) *victim {
	t.Helper()
	dir := tempDir(t)
	if err := os.CopyFS(dir, os.DirFS(v.dir)); err != nil {
		t.Fatal(err)
	}
	w := *v.world
	w.TB, w.clock = t, &clock{now: v.clock.Now()}
	c := *v
	c.world, c.dir, c.now = &w, dir, w.clock
	c.reopen()
	c.answer = c.resolve(shop, "dev")
	id, err := c.service.StoreID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	trust := &Trust{Schema: TrustSchema, Entries: []TrustEntry{c.entry(RoleBake, c.bake), c.entry(RolePromote, c.promote), c.entry(RoleApprove, c.stranger)}}
	c.opts = VerifyOptions{
		Image: shop, Channel: "dev", Now: c.clock.Now, Trust: trust, StoreID: id, MaxAge: 20 * time.Hour, Seen: &Seen{Dir: tempDir(t)},
		Require: []string{sign.SPDXPredicate}, Manifest: func(ctx context.Context, image string, d digest.Digest) ([]byte, error) {
			_, content, err := c.registry.Manifest(ctx, image, d)
			return content, err
		},
	}
	c.replay = ReplayOptions{Trust: *trust, StoreID: id, Asked: c.made.Record}
	return &c
}

// reopen forgets all that is in memory.
func (v *victim) reopen() {
	v.Helper()
	fs, err := filestore.Open(v.Context(), v.dir, filestore.Options{})
	if err != nil {
		v.Fatal(err)
	}
	v.store, v.pointers = fs, fs.Pointers()
	v.registry = contentstore.New(v.store, v.pointers, contentstore.Options{Now: v.clock.Now})
	v.service = v.with(func(*Config) {})
}

func (v *victim) entry(role Role, key *sign.Signer) TrustEntry {
	v.Helper()
	e, err := newTrustEntry(TrustRequest{Role: role, Key: string(key.PublicPEM()), Image: "acme/*"}, v.clock.Now())
	if err != nil {
		v.Fatal(err)
	}
	return e
}

// anyKey is a new key.
func anyKey(t *testing.T) *sign.Signer {
	t.Helper()
	private, _, err := sign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, private, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := sign.LoadSigner(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The checks.

// answers: a deployer verifies what was answered.
func answers(v *victim) error { return VerifyResolution(v.Context(), v.answer, v.opts) }

// answersByKeys: the same, with nothing but two keys.
func answersByKeys(v *victim) error {
	o := v.opts
	o.Trust, o.BakeKeys, o.PromotionKeys = nil, [][]byte{v.bake.PublicPEM()}, [][]byte{v.promote.PublicPEM()}
	return VerifyResolution(v.Context(), v.answer, o)
}

// resolves: the store answers, and a deployer verifies that.
func resolves(v *victim) error {
	r, err := v.service.Resolve(v.Context(), ResolveRequest{Image: shop, Channel: "dev"})
	if err != nil {
		return err
	}
	v.answer = r
	return answers(v)
}

// renews: the promotion key signs anew what the channels hold.
func renews(v *victim) error {
	_, err := v.service.Renew(v.Context(), RenewRequest{Image: shop})
	return err
}

// promotes: the policy would let a into prod.
func promotes(v *victim) error {
	c, err := v.service.Check(v.Context(), CheckRequest{Image: shop, Digest: v.a, Channel: "prod"})
	if err != nil || c.Allow {
		return err
	}
	return &Error{Kind: KindDenied, Message: "denied", Reasons: slices.Concat(c.Reasons, c.Refusals)}
}

// signed and attested: the evidence in the store verifies by the bake key.
func signed(v *victim) error {
	_, err := v.bake.Verifier().VerifyImage(v.Context(), v.registry, shop, v.a)
	return err
}

func attested(predicateType string) check {
	return func(v *victim) error {
		_, err := v.bake.Verifier().Attestations(v.Context(), v.registry, shop, v.a, predicateType)
		return err
	}
}

// pulls: the image, with all that is attached, arrives in an OCI layout.
func pulls(v *victim) error {
	l, err := ocilayout.Create(tempDir(v))
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = imagecopy.Copy(v.Context(), v.registry, shop, v.a, l, shop, imagecopy.Options{})
	return err
}

// recounts: the ledger reads from its head to its first record.
func recounts(v *victim) error {
	_, err := v.service.History(v.Context(), HistoryRequest{Image: shop})
	return err
}

// decides: the decision about staging comes out of its record again.
func decides(v *victim) error {
	r, err := ReplayDecision(v.Context(), v.made, v.replay)
	if err == nil && len(r.Differences) > 0 {
		err = errNotCounted
	}
	return err
}

// approvedForProd: the approval counts.
func approvedForProd(v *victim) error {
	list, err := v.service.Approvals(v.Context(), ApprovalsRequest{Image: shop, Digest: v.a, Channel: "prod"})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list.Approvals, func(a Approval) bool { return a.Trusted }) {
		return errNotCounted
	}
	return nil
}

// trusts: the store's trust reads, and lists who baked.
func trusts(v *victim) error {
	t, err := v.service.Trust(v.Context())
	if err == nil && !t.Lists(RoleBake, v.bake.KeyID(), shop) {
		err = errNotCounted
	}
	return err
}

// TestTampered: whatever is changed is refused, with the right error, and
// nothing is refused before it was. FAULTS 31-37.
func TestTampered(t *testing.T) {
	whole := newVictim(t)
	kinds := []struct {
		artefact string
		cases    []tampered
	}{
		{"content", tamperedContent()}, {"evidence", tamperedEvidence()}, {"answer", tamperedAnswers()}, {"statement", tamperedStatements()},
		{"key", tamperedKeys()}, {"clock", tamperedClocks()}, {"ledger", tamperedLedgers()}, {"state", tamperedStates()},
		{"approval", tamperedApprovals()}, {"trust", tamperedTrust()}, {"decision", tamperedDecisions()},
	}
	count, seen := 0, map[string]bool{}
	for _, k := range kinds {
		for _, c := range k.cases {
			name := k.artefact + "/" + c.name
			if seen[name] {
				t.Errorf("%s: twice", name)
			}
			seen[name] = true
			if t.Run(name, func(t *testing.T) { c.try(t, whole.copied(t)) }) {
				count++
			}
		}
	}
	if t.Logf("%d tampered cases refused", count); count < 60 {
		t.Errorf("%d cases, want at least 60", count)
	}
}

// try holds the untampered against the check, then the tampered.
func (c tampered) try(t *testing.T, v *victim) {
	if err := c.seen(v); err != nil {
		t.Fatalf("untampered it is refused: %v", err)
	}
	c.change(v)
	v.reopen()
	err := c.seen(v)
	if err == nil {
		t.Fatal("accepted")
	}
	if text := cmp.Or(c.text, "\x00"); !c.as(err) || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q (%s), want %q", err, KindOf(err), c.text)
	}
}

// What changes things.

// flipped, cut and grown change the bytes of anything.
func flipped(at func(n int) int) func([]byte) []byte {
	return func(b []byte) []byte {
		b = slices.Clone(b)
		b[at(len(b))] ^= 1
		return b
	}
}

func first(int) int    { return 0 }
func middle(n int) int { return n / 2 }
func last(n int) int   { return n - 1 }

func cut(b []byte) []byte   { return b[:len(b)-1] }
func grown(b []byte) []byte { return append(slices.Clone(b), ' ') }

// replaced changes a text that must be there.
func replaced(old, next string) func([]byte) []byte {
	return func(b []byte) []byte {
		if !strings.Contains(string(b), old) {
			panic(old + " is not in " + string(b))
		}
		return []byte(strings.Replace(string(b), old, next, 1))
	}
}

// blob changes the bytes of a blob under the same digest.
func (v *victim) blob(d digest.Digest, change func([]byte) []byte) {
	v.Helper()
	key := store.BlobKey(d)
	r, err := v.store.Open(v.Context(), key, 0, -1)
	if err != nil {
		v.Fatal(err)
	}
	defer r.Close()
	content := readAll(v, r)
	if err := v.store.Delete(v.Context(), key); err != nil {
		v.Fatal(err)
	}
	v.write(key, string(change(content)))
}

// manifest reads a manifest of the shop.
func (v *victim) manifest(d digest.Digest) ocispec.Manifest {
	v.Helper()
	_, content, err := v.registry.Manifest(v.Context(), shop, d)
	if err != nil {
		v.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(content, &m); err != nil {
		v.Fatal(err)
	}
	return m
}

// referrer is the manifest that holds the evidence of a type about a.
func (v *victim) referrer(predicateType string) digest.Digest {
	v.Helper()
	for _, e := range v.answer.Evidence {
		if e.PredicateType == predicateType {
			return e.Digest
		}
	}
	v.Fatalf("no evidence of type %s", predicateType)
	return ""
}

// bundles changes the bundles of a type in the answer.
func (v *victim) bundles(predicateType string, change func([]byte) []byte) {
	v.answer.Evidence = slices.Clone(v.answer.Evidence)
	for i, e := range v.answer.Evidence {
		if e.PredicateType == predicateType {
			v.answer.Evidence[i].Bundle = change(e.Bundle)
		}
	}
}

// statement signs another statement for the answer.
func (v *victim) statement(key *sign.Signer, change func(*sign.Statement, *Statement)) {
	v.Helper()
	said := Statement{StoreID: v.opts.StoreID, Channel: "dev", Sequence: v.answer.Sequence, Issued: v.clock.Now(), Expires: v.clock.Now().Add(day)}
	st := sign.Statement{Subject: sign.Subject{Name: shop, Digest: v.a}, PredicateType: StatementPredicateType}
	change(&st, &said)
	if st.Predicate == nil {
		st.Predicate, _ = json.Marshal(said)
	}
	envelope, err := key.SignStatement(v.Context(), st)
	if err != nil {
		v.Fatal(err)
	}
	v.answer.Statement = envelope
}

// record signs and stores the record that would be next, changed; the head does
// not reach it.
func (v *victim) record(key *sign.Signer, change func(*Record)) digest.Digest {
	v.Helper()
	st, err := v.service.state(v.Context(), shop)
	if err != nil {
		v.Fatal(err)
	}
	r := v.service.next(st, move{action: ActionPromote, image: shop, channel: "dev", subject: v.described(v.a), policy: v.made.Policy, facts: v.made.Facts})
	r.StoreID, _ = v.service.StoreID(v.Context())
	change(&r)
	by := v.with(func(c *Config) { c.Signer = key })
	s, err := by.seal(v.Context(), r, v.described(v.a))
	if err == nil {
		err = by.put(v.Context(), shop, s)
	}
	if err != nil {
		v.Fatal(err)
	}
	return s.digest
}

// state changes the pointer that says where everything is.
func (v *victim) state(change func(*state)) {
	v.Helper()
	st, err := v.service.state(v.Context(), shop)
	if err != nil {
		v.Fatal(err)
	}
	change(&st.state)
	value, err := json.Marshal(st.state)
	if err != nil {
		v.Fatal(err)
	}
	v.overwrite(store.StatePointer(shop), string(value))
}

// trustPointer changes the bytes of the store's trust.
func (v *victim) trustPointer(change func([]byte) []byte) {
	v.Helper()
	ptr, err := v.pointers.Load(v.Context(), store.TrustPointer)
	if err != nil {
		v.Fatal(err)
	}
	v.overwrite(store.TrustPointer, string(change(ptr.Value)))
}

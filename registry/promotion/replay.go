package promotion

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"kiln/policy"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// ReplayOptions say against what a decision is replayed.
type ReplayOptions struct {
	// Trust says whose records count: those of keys that may promote the image
	// to the channel.
	Trust Trust
	// Policy is asked instead of the one that decided; nil asks that one.
	Policy *policy.Policy
	// Isolated evaluates the policy that was kept in a process of its own, as
	// policy.Policy.Isolated does: it is somebody else's.
	Isolated bool
	// StoreID that the record must name; "" is any.
	StoreID string
	// Asked is the digest of the record, or of the decision, that was asked
	// for; required.
	Asked digest.Digest
}

// ReplaySchema is the schema of a Replay.
const ReplaySchema = "kiln.replay/v1"

// Replay is a decision that was made again.
type Replay struct {
	Schema  string        `json:"schema"`
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Channel string        `json:"channel"`
	Action  Action        `json:"action"`
	At      time.Time     `json:"at"`
	By      string        `json:"by"`
	Record  digest.Digest `json:"record,omitempty"`
	// SignedBy is the promotion key that signed the record, "" for a decision
	// that has none because it denied: that one rests on the store's word.
	SignedBy string `json:"signed_by"`
	// Then is what was decided, Now what the policy says of the same facts.
	Then Verdict `json:"then"`
	Now  Verdict `json:"now"`
	// Differences say what is not as it was; empty where the replay agrees.
	Differences []string `json:"differences"`
	// Findings go through the facts, beside them what the policy has against
	// them now.
	Findings []Finding       `json:"findings"`
	Document json.RawMessage `json:"document"`
}

// Verdict is what a policy says.
type Verdict struct {
	Allow   bool          `json:"allow"`
	Reasons []Reason      `json:"reasons"`
	Policy  digest.Digest `json:"policy"`
	Facts   digest.Digest `json:"facts"`
}

// ReplayDecision decides d again: it checks that the record is signed by a key that
// may promote and names d's policy and facts, that these are the bytes that it
// names, and asks the policy about the facts. KindVerification if any of that
// is not so, KindNotFound if facts or policy were not kept. That the policy
// says something else now is no error: it is in Differences. Nothing is read
// but d.
func ReplayDecision(ctx context.Context, d Decision, opts ReplayOptions) (Replay, error) {
	r := Replay{
		Schema: ReplaySchema, Image: d.Image, Digest: d.Digest, Channel: d.Channel, Action: d.Action, At: d.At, By: d.By,
		Record: d.Record, Differences: []string{},
		Then: Verdict{Allow: d.Allow, Reasons: append([]Reason{}, d.Reasons...), Policy: d.Policy, Facts: d.Facts},
	}
	if opts.Asked == "" || opts.Asked != d.Record && opts.Asked != d.ID {
		return Replay{}, errorf(KindVerification, "asked for the decision %s, the answer is about %s", opts.Asked, cmp.Or(d.Record, d.ID))
	}
	if d.Record != "" {
		by, err := d.signed(opts)
		if err != nil {
			return Replay{}, err
		}
		r.SignedBy = by
	}
	facts, document, err := d.facts()
	if err != nil {
		return Replay{}, err
	}
	p := opts.Policy
	if p == nil {
		if p, err = d.policy(); err != nil {
			return Replay{}, err
		}
		if opts.Isolated {
			p = p.Isolated()
		}
	}
	now, err := p.EvaluateText(ctx, document)
	if err != nil && ctx.Err() != nil {
		return Replay{}, err
	}
	r.Now = Verdict{Allow: now.Allow, Reasons: append([]Reason{}, now.Reasons...), Policy: digest.Digest(now.Policy), Facts: digest.Digest(now.Facts)}
	r.Differences = r.Then.differences(r.Now, opts.Policy != nil)
	r.Findings, r.Document = findings(facts, r.Now.Reasons, true, p), document
	return r, nil
}

// signed checks the record of a decision and returns who signed it.
func (d Decision) signed(opts ReplayOptions) (by string, err error) {
	wrong := func(format string, args ...any) error {
		return errorf(KindVerification, "record %s of %s: %w", d.Record, d.Image, fmt.Errorf(format, args...)).
			hinted("ask who runs the store; kiln trust list shows whose records count")
	}
	if digest.FromString(d.Manifest) != d.Record {
		return "", wrong("the bytes of its manifest do not match")
	}
	layer, err := recordLayer([]byte(d.Manifest))
	if err == nil && digest.FromString(d.Envelope) != layer {
		err = errors.New("the bytes of its envelope do not match")
	}
	if err != nil {
		return "", wrong("%w", err)
	}
	v, err := opts.Trust.Verifier(RolePromote, d.Image, d.Channel, nil, nil)
	if err != nil {
		return "", wrong("%w", err)
	}
	st, by, err := v.VerifyEnvelopeAt([]byte(d.Envelope), sign.PromotionPredicate, d.Digest, d.At)
	if err != nil {
		return "", wrong("%w", err)
	}
	record, err := decodeRecord(st.Predicate)
	if err != nil {
		return "", wrong("%w", err)
	}
	switch {
	case st.Subject.Name != d.Image || record.Image != d.Image || record.Digest != d.Digest:
		return "", wrong("it is about %s@%s", clip(record.Image), record.Digest)
	case opts.StoreID != "" && record.StoreID != opts.StoreID:
		return "", wrong("it is of store %s", clip(record.StoreID))
	case record.Policy != d.Policy || record.Facts != d.Facts:
		return "", wrong("it names the policy %s and the facts %s, not %s and %s", record.Policy, record.Facts, d.Policy, d.Facts)
	case record.Channel != d.Channel || record.Action != d.Action || record.By != d.By || !record.At.Equal(d.At):
		return "", wrong("it says that %s did a %s to %s at %s", clip(record.By), record.Action, clip(record.Channel), record.At.Format(time.RFC3339))
	case !d.Allow:
		return "", wrong("it moved a channel that the decision denied")
	}
	return by, nil
}

// facts are those that the decision names, as they were and as text.
func (d Decision) facts() (policy.Facts, []byte, error) {
	if len(d.Document) == 0 {
		return policy.Facts{}, nil, errorf(KindNotFound, "the facts %s of %s were not kept, so nothing can be decided again", d.Facts, d.Image)
	}
	text, err := encodeCanonical(d.Document)
	if err != nil || digest.FromBytes(text) != d.Facts {
		return policy.Facts{}, nil, errorf(KindVerification, "the facts are not those that the decision names: %s, not %s", digest.FromBytes(text), d.Facts)
	}
	f, err := policy.ParseFacts(text)
	if err != nil {
		return policy.Facts{}, nil, errorf(KindVerification, "the facts %s: %w", d.Facts, err)
	}
	if f.Image != d.Image || f.Digest != string(d.Digest) || f.Channel != d.Channel || f.Action != string(d.Action) {
		return policy.Facts{}, nil, errorf(KindVerification, "the facts %s are about a %s of %s@%s to %s", d.Facts, clip(f.Action), clip(f.Image), clip(f.Digest), clip(f.Channel))
	}
	return f, text, nil
}

// policy is the one that decided.
func (d Decision) policy() (*policy.Policy, error) {
	if len(d.Source) == 0 {
		return nil, errorf(KindNotFound, "the policy %s was not kept", d.Policy).
			hinted("--policy names a file or folder with it")
	}
	files := map[string][]byte{}
	for name, text := range d.Source {
		files[name] = []byte(text)
	}
	p, err := policy.Load(files)
	if err != nil {
		return nil, errorf(KindVerification, "the policy %s: %w", d.Policy, err)
	}
	if p.Digest() != d.Policy {
		return nil, errorf(KindVerification, "the policy is not the one that the decision names: %s, not %s", p.Digest(), d.Policy)
	}
	return p, nil
}

// differences tells what another verdict says otherwise. Of another policy its
// digest is no difference.
func (v Verdict) differences(now Verdict, other bool) []string {
	list := []string{}
	if v.Allow != now.Allow {
		list = append(list, fmt.Sprintf("it %s then and %s now", allows(v.Allow), allows(now.Allow)))
	}
	if v.Policy != now.Policy && !other {
		list = append(list, fmt.Sprintf("the policy was %s and is %s", v.Policy, now.Policy))
	}
	if v.Facts != now.Facts {
		list = append(list, fmt.Sprintf("the facts were %s and are %s", v.Facts, now.Facts))
	}
	for _, r := range v.Reasons {
		if !slices.Contains(now.Reasons, r) {
			list = append(list, "no more a reason: "+r.Rule+": "+r.Message)
		}
	}
	for _, r := range now.Reasons {
		if !slices.Contains(v.Reasons, r) {
			list = append(list, "a new reason: "+r.Rule+": "+r.Message)
		}
	}
	return list
}

func allows(allow bool) string {
	if allow {
		return "allowed"
	}
	return "denied"
}

package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

// MaxSkew is how far in the future a statement may have been issued, by the
// verifier's clock.
const MaxSkew = time.Hour

// VerifyOptions say what an answer must prove. Image, Channel and either Trust
// or BakeKeys and PromotionKeys are required.
type VerifyOptions struct {
	Image, Channel string // what was asked
	// Trust says who may bake the image and promote it to the channel, and
	// when: see trustfile.
	Trust *Trust
	// BakeKeys and PromotionKeys are PEM public keys without dates. A key for
	// baking never verifies a statement unless it is among both.
	BakeKeys, PromotionKeys [][]byte
	// Require are the predicate types of which the answer must hold an
	// attestation by who may bake, beside the provenance.
	Require     []string
	StoreID     string        // the store to accept; "" for any
	Seen        *Seen         // refuses older statements than seen before; may be nil
	MinSequence int64         // the lowest sequence to accept
	MaxAge      time.Duration // since the statement was issued; 0 for its whole life
	// Manifest reads the manifest's bytes from where they will be used. They
	// are hashed. If nil, whoever pulls by digest checks them.
	Manifest func(ctx context.Context, image string, d digest.Digest) ([]byte, error)
	Now      func() time.Time // time.Now if nil
}

// VerifyResolution checks, with nothing but the deployer's own keys, that r
// answers what was asked: the digest was baked by a bake key for this image
// (signature and provenance) and put into this channel by a promotion key, the
// word for it has not expired and is not older than what was seen before, and
// the manifest's bytes have the digest. KindVerification if not; KindInvalid
// for options that could prove nothing. Of what r says only image, channel,
// digest, reference, sequence and the statement are proven by it.
func VerifyResolution(ctx context.Context, r Resolution, opts VerifyOptions) error {
	if err := opts.check(); err != nil {
		return err
	}
	if r.Revoked {
		return errorf(KindRevoked, "%s@%s is revoked", opts.Image, clip(string(r.Digest)))
	}
	if r.Image != opts.Image || r.Channel != opts.Channel {
		return errorf(KindVerification, "asked for %s %s, the answer is about %s %s", opts.Image, opts.Channel, clip(r.Image), clip(r.Channel))
	}
	if err := registry.CheckDigest(r.Digest); err != nil {
		return errorf(KindVerification, "the answer: %w", err)
	}
	ref, err := registry.ParseReference(r.Reference)
	if err != nil || ref.Name != r.Image || ref.Digest != r.Digest || ref.Tag != "" {
		return errorf(KindVerification, "reference %q is not %s@%s", clip(r.Reference), r.Image, r.Digest)
	}
	mark, err := opts.statement(r)
	if err != nil {
		return err
	}
	if err := opts.baked(r); err != nil {
		return err
	}
	if err := opts.bytes(ctx, r); err != nil {
		return err
	}
	if opts.Seen != nil {
		return opts.Seen.Advance(mark)
	}
	return nil
}

func (o VerifyOptions) check() error {
	if o.Image == "" || o.Channel == "" {
		return errorf(KindInvalid, "verify: image and channel are required")
	}
	switch keys := len(o.BakeKeys) + len(o.PromotionKeys); {
	case o.Trust != nil && keys > 0:
		return errorf(KindInvalid, "verify: a trust and keys beside it: name them in the trust")
	case o.Trust == nil && (len(o.BakeKeys) == 0 || len(o.PromotionKeys) == 0):
		return errorf(KindInvalid, "verify: keys for baking and for promoting are both required").
			hinted("give --verify-key and --promotion-key, or --trust")
	}
	return nil
}

// verifier verifies what those sign who play a role.
func (o VerifyOptions) verifier(role Role) (*sign.Verifier, error) {
	if o.Trust != nil {
		return o.Trust.Verifier(role, o.Image, o.Channel, o.Now, nil)
	}
	keys, what := o.BakeKeys, "key for baking"
	if role == RolePromote {
		keys, what = o.PromotionKeys, "promotion key"
	}
	v, err := sign.NewVerifier(keys...)
	if err != nil {
		return nil, errorf(KindInvalid, "%s: %w", what, err)
	}
	return v, nil
}

// statement checks the channel statement and returns what to remember of it.
func (o VerifyOptions) statement(r Resolution) (Mark, error) {
	v, err := o.verifier(RolePromote)
	if err != nil {
		return Mark{}, err
	}
	st, _, err := v.VerifyEnvelope(r.Statement, StatementPredicateType, r.Digest)
	if err != nil {
		return Mark{}, errorf(KindVerification, "statement of %s %s: %w", o.Image, o.Channel, err).
			hinted("after a change of the promotion key, kiln renew %s --channel %s signs it with the new one; else do not use it", o.Image, o.Channel)
	}
	var p Statement
	if err := json.Unmarshal(st.Predicate, &p); err != nil {
		return Mark{}, errorf(KindVerification, "statement of %s %s: %w", o.Image, o.Channel, err)
	}
	switch {
	case st.Subject.Name != o.Image || p.Channel != o.Channel:
		return Mark{}, errorf(KindVerification, "the statement is about %s %s, not %s %s", clip(st.Subject.Name), clip(p.Channel), o.Image, o.Channel)
	case p.StoreID == "", o.StoreID != "" && p.StoreID != o.StoreID:
		return Mark{}, errorf(KindVerification, "the statement is of store %q, not %q", clip(p.StoreID), o.StoreID)
	case p.Sequence < 1, p.Sequence != r.Sequence:
		return Mark{}, errorf(KindVerification, "the statement has the sequence %d, the answer %d", p.Sequence, r.Sequence)
	case p.Sequence < o.MinSequence:
		return Mark{}, errorf(KindVerification, "sequence %d is below the required %d", p.Sequence, o.MinSequence)
	}
	mark := Mark{StoreID: p.StoreID, Image: o.Image, Channel: o.Channel, Sequence: p.Sequence, Issued: p.Issued}
	if err := o.fresh(p); err != nil {
		return Mark{}, err
	}
	return mark, o.unseen(mark)
}

// fresh refuses a statement outside its life.
func (o VerifyOptions) fresh(p Statement) error {
	now := time.Now()
	if o.Now != nil {
		now = o.Now()
	}
	age := now.Sub(p.Issued)
	switch {
	case p.Issued.IsZero(), !p.Expires.After(p.Issued):
		return errorf(KindVerification, "the statement names no time that it is good for")
	case !now.Before(p.Expires):
		return errorf(KindVerification, "the statement expired at %s", p.Expires.Format(time.RFC3339)).
			hinted("the one who holds the promotion key runs kiln renew; a server renews by itself")
	case age < -MaxSkew:
		return errorf(KindVerification, "the statement was issued at %s, which is in the future", p.Issued.Format(time.RFC3339)).
			hinted("check the clocks of this machine and of the server")
	case o.MaxAge > 0 && age > o.MaxAge:
		return errorf(KindVerification, "the statement is %v old, more than %v", age.Round(time.Second), o.MaxAge).
			hinted("kiln renew issues it anew")
	}
	return nil
}

// unseen refuses a statement older than one that was accepted before.
func (o VerifyOptions) unseen(m Mark) error {
	if o.Seen == nil {
		return nil
	}
	last, err := o.Seen.Load(m.StoreID, m.Image, m.Channel)
	if err == nil && m.before(last) {
		err = replayed(m, last)
	}
	return err
}

// baked looks among the inline bundles for a signature of the image, for a
// provenance that names it, and for what else is required.
func (o VerifyOptions) baked(r Resolution) error {
	v, err := o.verifier(RoleBake)
	if err != nil {
		return err
	}
	required := append([]string{sign.SignaturePredicate, sign.ProvenancePredicate}, o.Require...)
	for i, predicateType := range required {
		if slices.Contains(required[:i], predicateType) {
			continue
		}
		if err := o.attested(v, r, predicateType); err != nil {
			return err
		}
	}
	return nil
}

// attested looks for a bundle of a predicate type that counts.
func (o VerifyOptions) attested(v *sign.Verifier, r Resolution, predicateType string) error {
	var why []error
	for _, e := range r.Evidence[:min(len(r.Evidence), maxEvidence)] {
		if e.PredicateType != predicateType || len(e.Bundle) == 0 {
			continue
		}
		st, _, err := v.VerifyBundle(e.Bundle, o.Image, r.Digest, predicateType)
		if err == nil && predicateType == sign.ProvenancePredicate {
			err = o.provenance(st)
		}
		if err == nil {
			return nil
		}
		why = append(why, err)
	}
	missing := "attestation of type " + predicateType
	switch predicateType {
	case sign.SignaturePredicate:
		missing = "signature"
	case sign.ProvenancePredicate:
		missing = "provenance"
	}
	e := errorf(KindVerification, "%s@%s has no %s by a key that you trust for baking", o.Image, r.Digest, missing)
	if e.Err = errors.Join(why...); e.Err != nil {
		e.Message += ": " + e.Err.Error()
	}
	return e
}

// provenance refuses that of another image.
func (o VerifyOptions) provenance(st sign.Statement) error {
	var p provenance
	if err := json.Unmarshal(st.Predicate, &p); err != nil {
		return err
	}
	if got := p.BuildDefinition.ExternalParameters.Image; got != o.Image {
		return errorf(KindVerification, "its provenance is of image %q", clip(got))
	}
	return nil
}

// bytes hashes the manifest as it will be used.
func (o VerifyOptions) bytes(ctx context.Context, r Resolution) error {
	if o.Manifest == nil {
		return nil
	}
	content, err := o.Manifest(ctx, r.Image, r.Digest)
	if KindOf(err) == KindVerification || err == nil && r.Digest.Algorithm().FromBytes(content) != r.Digest {
		return damaged(r.Image, r.Digest)
	}
	if err != nil {
		return errorf(KindOf(err), "manifest %s@%s: %w", r.Image, r.Digest, err)
	}
	return nil
}

package promotion

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxApproval bounds a signed approval, in bytes.
const maxApproval = 64 << 10

// Approve implements Operations. The signed approval is attached to the version
// first; it counts once a record of the ledger names it.
func (s *Service) Approve(ctx context.Context, req ApproveRequest) (Approval, error) {
	if err := s.checkApprove(req); err != nil {
		return Approval{}, err
	}
	subject, _, err := s.version(ctx, req.Image, req.Digest)
	if err != nil {
		return Approval{}, err
	}
	r := Record{Action: ActionApprove, Channel: req.Channel, Digest: req.Digest, Reason: req.Reason}
	var keyID string
	var before Approval // by the same one
	if len(req.Approval) > 0 {
		if keyID, before, err = s.signed(ctx, req, subject, &r); errors.Is(err, errUnchanged) {
			return before.again(), nil
		}
		if err != nil {
			return Approval{}, err
		}
	}
	done, err := s.enter(ctx, req.Image, req.Channel, subject, req.By, func(st snapshot) (Record, error) {
		var err error
		before, err = s.approvedBefore(ctx, req, keyID, st)
		return r, err
	})
	if errors.Is(err, errUnchanged) {
		return before.again(), nil
	}
	if err != nil {
		return Approval{}, err
	}
	out := done.Record.approval(done.digest)
	out.Schema, out.KeyID, out.Trusted, out.RecordedKey = ApprovalSchema, keyID, true, done.recordedKey
	if req.Channel == "" {
		s.narrow(ctx, &out)
	}
	return out, nil
}

// narrow notes of an approval for any channel where it counts, so far as that
// can be found out: the approval stands.
func (s *Service) narrow(ctx context.Context, a *Approval) {
	judged := *a
	t, err := s.Trust(ctx)
	if err == nil {
		var st snapshot
		if st, err = s.state(ctx, a.Image); err == nil {
			err = s.believe(ctx, t, &judged, "", st)
		}
	}
	if err != nil {
		s.log.Warn("where an approval counts is not known", "repo", a.Image, "digest", a.Digest, "err", err)
		return
	}
	*a = judged
}

// signed completes a record by the signed word that it is about, and attaches
// that to the version. What the same one said before is not attached again:
// errUnchanged, with that.
func (s *Service) signed(ctx context.Context, req ApproveRequest, subject ocispec.Descriptor, r *Record) (keyID string, before Approval, err error) {
	word, keyID, err := s.signedWord(ctx, req)
	if err != nil {
		return "", Approval{}, err
	}
	st, err := s.state(ctx, req.Image)
	if err != nil {
		return "", Approval{}, err
	}
	if before, err = s.approvedBefore(ctx, req, keyID, st); err != nil {
		return "", before, err
	}
	r.Reason = word.Reason
	r.Evidence, err = s.attach(ctx, req, subject, word.At)
	return keyID, Approval{}, err
}

// again is the answer to who approves once more.
func (a Approval) again() Approval {
	a.Schema, a.Unchanged = ApprovalSchema, true
	return a
}

// approvedBefore finds the same approval by the same one: errUnchanged, with it.
func (s *Service) approvedBefore(ctx context.Context, req ApproveRequest, keyID string, st snapshot) (Approval, error) {
	list, err := s.approvalsAt(ctx, ApprovalsRequest{Image: req.Image, Digest: req.Digest}, st)
	if err != nil {
		return Approval{}, err
	}
	for _, a := range list {
		if a.counts() && a.Channel == req.Channel && a.KeyID == keyID && (keyID != "" || a.By == req.By) {
			return a, errUnchanged
		}
	}
	return Approval{}, nil
}

func (s *Service) checkApprove(req ApproveRequest) error {
	if err := checkImage(req.Image); err != nil {
		return err
	}
	if req.Channel != "" {
		if err := s.checkChannel(req.Image, req.Channel); err != nil {
			return err
		}
	}
	if err := checkDigest(req.Digest); err != nil {
		return err
	}
	if len(req.Approval) == 0 && req.By == "" {
		return errorf(KindDenied, "nobody is known to approve this").
			hinted("sign it: --approval-key KEY or KILN_APPROVAL_KEY; a server that knows who asks takes their word")
	}
	if len(req.Approval) > maxApproval {
		return errorf(KindInvalid, "an approval of %d bytes; at most %d are read", len(req.Approval), maxApproval)
	}
	return checkWords(req.Reason, "")
}

// signedWord checks a signed approval: for this store, image, channel and
// digest, by who may approve that.
func (s *Service) signedWord(ctx context.Context, req ApproveRequest) (ApprovalStatement, string, error) {
	t, err := s.Trust(ctx)
	if err != nil {
		return ApprovalStatement{}, "", err
	}
	v, err := t.Verifier(RoleApprove, req.Image, req.Channel, s.now, nil)
	if err != nil {
		return ApprovalStatement{}, "", err
	}
	id, err := s.StoreID(ctx)
	if err != nil {
		return ApprovalStatement{}, "", err
	}
	return readApproval(v, req.Approval, "", id, req.Image, req.Channel, req.Digest, s.now())
}

// readApproval verifies a signed approval, which evidence holds if that is not
// "". KindDenied for one by a stranger, KindInvalid for one of something else.
func readApproval(v *sign.Verifier, bundle []byte, evidence digest.Digest, store, image, channel string, d digest.Digest, now time.Time) (ApprovalStatement, string, error) {
	a, err := v.VerifyAttestation(bundle, evidence, image, d, sign.ApprovalPredicate)
	if err != nil {
		return ApprovalStatement{}, "", errorf(KindDenied, "the approval does not verify by who may approve %s: %v", image, err).
			hinted("kiln trust add KEY.pub --role approve --image %s lists who may", image)
	}
	var word ApprovalStatement
	if err := json.Unmarshal(a.Predicate, &word); err != nil {
		return word, "", errorf(KindInvalid, "approval: %w", err)
	}
	switch {
	case word.StoreID != store:
		return word, "", errorf(KindDenied, "the approval is for store %q, not for this one", clip(word.StoreID))
	case word.Image != image || word.Digest != d || word.Channel != channel:
		return word, "", errorf(KindDenied, "the approval is for %s@%s and channel %q, not for %s@%s and %q",
			clip(word.Image), clip(string(word.Digest)), clip(word.Channel), image, d, channel)
	case word.At.After(now.Add(MaxSkew)):
		return word, "", errorf(KindDenied, "the approval is of %s, which is in the future", word.At.Format(time.RFC3339)).
			hinted("check the clocks of this machine and of the server")
	case len(word.Reason) > MaxReason:
		return word, "", errorf(KindInvalid, "a reason of %d bytes; at most %d are kept", len(word.Reason), MaxReason)
	}
	return word, a.KeyID, nil
}

// attach stores a signed approval as a referrer of its version. The same again
// is the same manifest.
func (s *Service) attach(ctx context.Context, req ApproveRequest, subject ocispec.Descriptor, at time.Time) (digest.Digest, error) {
	layer := descriptor(sign.BundleMediaType, req.Approval)
	for _, content := range [][]byte{emptyJSON, req.Approval} {
		if err := s.registry.PushBlob(ctx, req.Image, descriptor("", content), bytes.NewReader(content)); err != nil {
			return "", fmt.Errorf("store approval: %w", err)
		}
	}
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: sign.BundleMediaType,
		Config: descriptor(ocispec.MediaTypeEmptyJSON, emptyJSON), Layers: []ocispec.Descriptor{layer},
		Subject:     &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{predicateAnnotation: sign.ApprovalPredicate, ocispec.AnnotationCreated: at.UTC().Format(time.RFC3339)},
	})
	if err != nil {
		return "", fmt.Errorf("encode approval: %w", err)
	}
	desc, err := s.registry.PushManifest(ctx, req.Image, registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Content: manifest})
	if err != nil {
		return "", fmt.Errorf("store approval: %w", err)
	}
	return desc.Digest, nil
}

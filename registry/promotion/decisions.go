package promotion

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Decisions implements Operations. The cursor is a decision's key.
func (s *Service) Decisions(ctx context.Context, req DecisionsRequest) (DecisionList, error) {
	if err := s.checkKnown(ctx, req.Image); err != nil {
		return DecisionList{}, err
	}
	page := DecisionList{Schema: DecisionsSchema, Image: req.Image, Decisions: []Decision{}}
	if req.Record != "" {
		d, err := s.decision(ctx, req.Image, req.Record)
		if err != nil {
			return DecisionList{}, err
		}
		page.Decisions = append(page.Decisions, d)
		return page, nil
	}
	prefix, limit, after := decisionsPrefix(req.Image), pageSize(req.Limit), ""
	if req.Cursor != "" {
		after = prefix + req.Cursor
		if strings.Contains(req.Cursor, "/") || store.CheckKey(after) != nil {
			return DecisionList{}, errorf(KindInvalid, "invalid cursor %q", clip(req.Cursor))
		}
	}
	last := ""
	for info, err := range s.store.List(ctx, prefix, after) {
		if err != nil {
			return DecisionList{}, fmt.Errorf("decisions of %s: %w", req.Image, err)
		}
		if len(page.Decisions) == limit {
			page.Next = last
			break
		}
		last = strings.TrimPrefix(info.Key, prefix)
		d, _, err := s.readDecision(ctx, req.Image, info.Key)
		if errors.Is(err, store.ErrNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return DecisionList{}, err
		}
		page.Decisions = append(page.Decisions, d)
	}
	return page, nil
}

// decision finds one decision, whole: by its record, or by its own digest.
func (s *Service) decision(ctx context.Context, image string, d digest.Digest) (Decision, error) {
	if err := checkDigest(d); err != nil {
		return Decision{}, err
	}
	switch found, err := s.decisionOfRecord(ctx, image, d); {
	case err == nil:
		return found, nil
	case KindOf(err) != KindNotFound:
		return Decision{}, err
	}
	for info, err := range s.store.List(ctx, decisionsPrefix(image), "") {
		if err != nil {
			return Decision{}, fmt.Errorf("decisions of %s: %w", image, err)
		}
		if !strings.HasSuffix(info.Key, "-"+d.Encoded()) {
			continue
		}
		found, kept, err := s.readDecision(ctx, image, info.Key)
		switch {
		case err != nil:
			return Decision{}, err
		case found.Record != "":
			return s.decisionOfRecord(ctx, image, found.Record)
		}
		found.Document = kept.Facts
		return s.completed(ctx, found)
	}
	return Decision{}, errorf(KindNotFound, "%s has no decision and no record %s", image, d).
		hinted("kiln history %s lists the records, kiln policy decisions %s the last %d decisions", image, image, MaxDecisions)
}

// decisionOfRecord is the decision that a record of the ledger names. A record
// that the head does not reach is none.
func (s *Service) decisionOfRecord(ctx context.Context, image string, d digest.Digest) (Decision, error) {
	none := errorf(KindNotFound, "%s has no record %s", image, d)
	content, err := s.recordManifest(ctx, image, d)
	if KindOf(err) == KindNotFound {
		return Decision{}, none
	}
	if err != nil {
		return Decision{}, err
	}
	layer, err := recordLayer(content)
	if err != nil {
		return Decision{}, none // another manifest of the image
	}
	r, err := s.record(ctx, image, d)
	if err != nil {
		return Decision{}, err
	}
	st, err := s.state(ctx, image)
	if err != nil {
		return Decision{}, err
	}
	if r.Sequence > st.Sequence {
		return Decision{}, none
	}
	switch at, err := s.find(ctx, image, r.Sequence, st); {
	case err != nil:
		return Decision{}, err
	case at != d:
		return Decision{}, none
	}
	if r.Policy == "" || r.Facts == "" {
		return Decision{}, errorf(KindNotFound, "record %s is a %s, on which no policy decided", d, r.Action)
	}
	envelope, err := s.blob(ctx, image, layer, maxEnvelope)
	if err != nil {
		return Decision{}, err
	}
	return s.completed(ctx, Decision{
		At: r.At, By: r.By, Action: r.Action, Image: image, Digest: r.Digest, Channel: r.Channel,
		Allow: true, Reasons: []Reason{}, Policy: r.Policy, Facts: r.Facts, Record: d, Manifest: string(content), Envelope: string(envelope),
	})
}

// completed adds the policy's source and the facts, where they are kept.
func (s *Service) completed(ctx context.Context, d Decision) (Decision, error) {
	var err error
	if d.Source, err = s.policySource(ctx, d.Policy); err != nil {
		return Decision{}, err
	}
	if len(d.Document) > 0 || registry.CheckDigest(d.Facts) != nil {
		return d, nil
	}
	content, err := s.readPacked(ctx, decidedKey(d.Image, d.Facts), maxFacts)
	if errors.Is(err, store.ErrNotFound) {
		return d, nil // by a kiln that did not keep it
	}
	if err != nil {
		return Decision{}, fmt.Errorf("facts %s of %s: %w", d.Facts, d.Image, err)
	}
	if digest.FromBytes(content) != d.Facts || !json.Valid(content) {
		return Decision{}, errorf(KindVerification, "facts %s of %s: the bytes in the store do not match", d.Facts, d.Image)
	}
	d.Document = content
	return d, nil
}

// judgement is what the policy said of a move, on which facts.
type judgement struct {
	facts    policy.Facts
	document []byte // the canonical facts; nil if they could not be gathered
	decision policy.Decision
	policy   *policy.Policy // that decided; nil for none
	by       string
	ignored  error // why some of what is attached does not count; may be nil
}

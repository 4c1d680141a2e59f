package promotion

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"kiln/policy"
	"kiln/registry"
	"kiln/registry/store"

	"github.com/opencontainers/go-digest"
)

// Decisions are kept so that they can be replayed:
//
//	policies/<digest>                     the source of a policy, by its digest
//	images/<i>/decided/<facts digest>     the facts of what a channel was moved on, for as long as its record: for good
//	images/<i>/decisions/<newest first>   each decision; the facts inside where nothing moved; the last MaxDecisions
//
// What is about to move is kept before it does, so no record is without.

// MaxDecisions bounds the list of decisions that are kept of an image.
const MaxDecisions = 200

// Bounds of what is read back, in bytes.
const (
	maxFacts    = 64 << 20
	maxDecision = maxFacts + 1<<20
	maxSource   = 8 << 20
)

// storedDecision is an object under images/<i>/decisions/.
type storedDecision struct {
	Schema   string          `json:"schema"` // kiln.decision/v1
	At       time.Time       `json:"at"`
	By       string          `json:"by"`
	Action   Action          `json:"action"`
	Digest   digest.Digest   `json:"digest"`
	Channel  string          `json:"channel"`
	Facts    json.RawMessage `json:"facts,omitempty"` // canonical; with a record they are under decided/
	Decision policy.Decision `json:"decision"`
	Refusals []Reason        `json:"refusals,omitempty"`
	Record   digest.Digest   `json:"record,omitempty"`
}

const decisionSchema = "kiln.decision/v1"

func decisionsPrefix(image string) string { return store.ImageKey(image) + "decisions/" }

func decidedKey(image string, facts digest.Digest) string {
	return store.ImageKey(image) + "decided/" + string(facts)
}

// keepAllowed keeps what a record will name: the policy's source and the facts.
func (s *Service) keepAllowed(ctx context.Context, j judgement) error {
	if err := s.keepPolicy(ctx, j.policy); err != nil {
		return err
	}
	if err := s.putPacked(ctx, decidedKey(j.facts.Image, digest.Digest(j.decision.Facts)), j.document); err != nil {
		return fmt.Errorf("keep the facts of a decision: %w", err)
	}
	return nil
}

// keepPolicy keeps the source of a policy under its digest.
func (s *Service) keepPolicy(ctx context.Context, p *policy.Policy) error {
	key := store.PolicyKey(p.Digest())
	if _, err := s.store.Stat(ctx, key); err == nil || !errors.Is(err, store.ErrNotFound) {
		return err
	}
	source, err := json.Marshal(p.Source())
	if err == nil {
		err = s.putPacked(ctx, key, source)
	}
	if err != nil {
		return fmt.Errorf("keep the policy: %w", err)
	}
	return nil
}

// keepDecision lists a decision and drops the oldest beyond MaxDecisions. What
// fails is logged: what a record rests on was kept before.
func (s *Service) keepDecision(ctx context.Context, j judgement, refusals []Reason, record digest.Digest) {
	ctx = context.WithoutCancel(ctx)
	if err := s.storeDecision(ctx, j, refusals, record); err != nil {
		s.log.Warn("decision not kept", "repo", j.facts.Image, "digest", j.facts.Digest, "err", err)
	}
}

func (s *Service) storeDecision(ctx context.Context, j judgement, refusals []Reason, record digest.Digest) error {
	f := j.facts
	d := storedDecision{
		Schema: decisionSchema, At: f.Now.UTC(), By: j.by, Action: Action(f.Action), Digest: digest.Digest(f.Digest),
		Channel: f.Channel, Decision: j.decision, Refusals: refusals, Record: record,
	}
	if record == "" {
		d.Facts = j.document
	}
	if j.policy != nil && d.Decision.Policy != "" {
		if err := s.keepPolicy(ctx, j.policy); err != nil {
			return err
		}
	}
	content, err := encodeCanonical(d)
	if err != nil {
		return err
	}
	prefix := decisionsPrefix(f.Image)
	key := fmt.Sprintf("%s%019d-%s", prefix, math.MaxInt64-f.Now.UnixNano(), digest.FromBytes(content).Encoded())
	if err := s.putPacked(ctx, key, content); err != nil {
		return err
	}
	kept := 0
	for info, err := range s.store.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		if kept++; kept > MaxDecisions {
			if err := s.store.Delete(ctx, info.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// readDecision reads one of images/<i>/decisions/ and checks it against the
// digest in its key.
func (s *Service) readDecision(ctx context.Context, image, key string) (Decision, storedDecision, error) {
	var d storedDecision
	content, err := s.readPacked(ctx, key, maxDecision)
	if err != nil {
		return Decision{}, d, err
	}
	id := digest.FromBytes(content)
	if _, named, _ := strings.Cut(strings.TrimPrefix(key, decisionsPrefix(image)), "-"); !strings.HasPrefix(id.Encoded(), named) {
		return Decision{}, d, errorf(KindVerification, "decision %s of %s: the bytes in the store do not match", clip(named), image)
	}
	if err := json.Unmarshal(content, &d); err != nil || d.Schema != decisionSchema {
		return Decision{}, d, fmt.Errorf("decision %s of %s: schema %q, this kiln knows %s: %v", id, image, clip(d.Schema), decisionSchema, err)
	}
	return Decision{
		ID: id, At: d.At, By: d.By, Action: d.Action, Image: image, Digest: d.Digest, Channel: d.Channel,
		Allow: d.Decision.Allow, Reasons: d.Decision.Reasons, Refusals: d.Refusals,
		Policy: digest.Digest(d.Decision.Policy), Facts: digest.Digest(d.Decision.Facts), Record: d.Record,
	}, d, nil
}

// policySource reads the source of a policy and checks it; nil if it was never
// kept, as by a kiln before this one.
func (s *Service) policySource(ctx context.Context, d digest.Digest) (map[string]string, error) {
	if registry.CheckDigest(d) != nil {
		return nil, nil
	}
	content, err := s.readPacked(ctx, store.PolicyKey(d), maxSource)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", d, err)
	}
	var source map[string][]byte
	if err := json.Unmarshal(content, &source); err != nil {
		return nil, fmt.Errorf("policy %s: %w", d, err)
	}
	text := map[string]string{}
	for name, file := range source {
		text[name] = string(file)
	}
	return text, nil
}

// putPacked stores content compressed. The same again is fine.
func (s *Service) putPacked(ctx context.Context, key string, content []byte) error {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return s.store.Put(ctx, key, &packed)
}

// readPacked reads what putPacked stored, or the same uncompressed, of at most
// limit bytes.
func (s *Service) readPacked(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, err := s.store.Open(ctx, key, 0, limit+1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(content, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if content, err = io.ReadAll(io.LimitReader(z, limit+1)); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s: over %d bytes", key, limit)
	}
	return content, nil
}

// encodeCanonical is JSON as Facts.Canonical writes it: sorted keys, no spaces,
// nothing escaped for HTML.
func encodeCanonical(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

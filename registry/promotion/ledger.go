package promotion

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"kiln/registry"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxEnvelope bounds a record's envelope, in bytes.
const maxEnvelope = 1 << 20

// sealed is a signed record as it is stored.
type sealed struct {
	digest   digest.Digest // of its manifest
	contents [][]byte      // its blobs, the manifest last
}

// seal signs a record. subject describes the version that it is about.
func (s *Service) seal(ctx context.Context, r Record, subject ocispec.Descriptor) (sealed, error) {
	predicate, err := json.Marshal(r)
	if err != nil {
		return sealed{}, fmt.Errorf("encode record: %w", err)
	}
	envelope, err := s.signer.SignStatement(ctx, sign.Statement{
		Subject:       sign.Subject{Name: r.Image, Digest: r.Digest},
		PredicateType: RecordPredicateType,
		Predicate:     predicate,
	})
	if err != nil {
		return sealed{}, fmt.Errorf("sign record: %w", err)
	}
	layer := descriptor(EnvelopeMediaType, envelope)
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: RecordArtifactType,
		Config:       descriptor(ocispec.MediaTypeEmptyJSON, emptyJSON),
		Layers:       []ocispec.Descriptor{layer},
		Subject:      &ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
	})
	if err != nil {
		return sealed{}, fmt.Errorf("encode record: %w", err)
	}
	return sealed{digest: digest.FromBytes(manifest), contents: [][]byte{emptyJSON, envelope, manifest}}, nil
}

// put stores a record as blobs of its image, without linking its manifest:
// until the state names it, it does not count. The same again is fine.
func (s *Service) put(ctx context.Context, image string, r sealed) error {
	for _, content := range r.contents {
		if err := s.registry.PushBlob(ctx, image, descriptor("", content), bytes.NewReader(content)); err != nil {
			return fmt.Errorf("store record: %w", err)
		}
	}
	return nil
}

var emptyJSON = []byte("{}")

func descriptor(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// link makes a record that counts a referrer of its version. Doing so again is
// fine.
func (s *Service) link(ctx context.Context, image string, record digest.Digest) error {
	content, err := s.recordManifest(ctx, image, record)
	if err != nil {
		return fmt.Errorf("link record: %w", err)
	}
	_, err = s.registry.PushManifest(ctx, image, registry.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, Content: content, Digest: record,
	})
	if err != nil {
		return fmt.Errorf("link record %s: %w", record, err)
	}
	return nil
}

// repair links the head if whoever made it crashed before that. All records
// before the head are linked: nobody appends to an unlinked one.
func (s *Service) repair(ctx context.Context, image string, st snapshot) error {
	if st.Head == "" {
		return nil
	}
	_, _, err := s.registry.Manifest(ctx, image, st.Head)
	if errors.Is(err, registry.CodeManifestUnknown) || errors.Is(err, registry.CodeNameUnknown) {
		return s.link(ctx, image, st.Head)
	}
	return err
}

// record reads one record of an image's ledger and checks its hashes and that
// it belongs there. That it counts is up to the caller: only records reached
// from the head do.
func (s *Service) record(ctx context.Context, image string, d digest.Digest) (Record, error) {
	r, err := s.readRecord(ctx, image, d)
	if err != nil {
		return Record{}, fmt.Errorf("ledger of %s: record %s: %w", image, d, err)
	}
	return r, nil
}

// envelope reads the signed envelope of a record and checks its hashes.
func (s *Service) envelope(ctx context.Context, image string, record digest.Digest) ([]byte, error) {
	manifest, err := s.recordManifest(ctx, image, record)
	if err != nil {
		return nil, err
	}
	envelope, err := recordLayer(manifest)
	if err != nil {
		return nil, err
	}
	return s.blob(ctx, image, envelope, maxEnvelope)
}

func (s *Service) readRecord(ctx context.Context, image string, d digest.Digest) (Record, error) {
	content, err := s.envelope(ctx, image, d)
	if err != nil {
		return Record{}, err
	}
	r, err := decodeEnvelope(content)
	if err != nil {
		return Record{}, err
	}
	id, err := s.StoreID(ctx)
	if err != nil {
		return Record{}, err
	}
	if r.StoreID != id || r.Image != image {
		return Record{}, errorf(KindVerification, "it is of the ledger of %s in store %s", clip(r.Image), clip(r.StoreID))
	}
	return r, nil
}

// recordManifest reads the manifest of a record: as the blob that put stored,
// which a collection takes once it is linked as a manifest, or as that.
func (s *Service) recordManifest(ctx context.Context, image string, d digest.Digest) ([]byte, error) {
	content, err := s.blob(ctx, image, d, registry.MaxManifestSize)
	if !errors.Is(err, registry.CodeBlobUnknown) && !errors.Is(err, registry.CodeNameUnknown) {
		return content, err
	}
	_, content, linked := s.registry.Manifest(ctx, image, d)
	if linked != nil {
		return nil, errors.Join(linked, err)
	}
	return content, nil
}

// recordLayer reads the manifest of a record and returns its envelope's digest.
func recordLayer(manifest []byte) (digest.Digest, error) {
	var m ocispec.Manifest
	if err := json.Unmarshal(manifest, &m); err != nil {
		return "", fmt.Errorf("parse manifest: %w", err)
	}
	if m.ArtifactType != RecordArtifactType || len(m.Layers) != 1 {
		return "", fmt.Errorf("no record: artifact type %q, %d layers", clip(m.ArtifactType), len(m.Layers))
	}
	return m.Layers[0].Digest, registry.CheckDigest(m.Layers[0].Digest)
}

// decodeEnvelope reads the record in a DSSE envelope. It checks no signature:
// whoever doubts the store uses sign.Verifier.VerifyEnvelope first.
func decodeEnvelope(envelope []byte) (Record, error) {
	var e struct {
		Payload string `json:"payload"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		return Record{}, fmt.Errorf("parse envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(e.Payload)
	if err != nil {
		return Record{}, fmt.Errorf("parse envelope: %w", err)
	}
	var st struct {
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &st); err != nil {
		return Record{}, fmt.Errorf("parse statement: %w", err)
	}
	if st.PredicateType != RecordPredicateType {
		return Record{}, fmt.Errorf("predicate type %q is not %s", clip(st.PredicateType), RecordPredicateType)
	}
	return decodeRecord(st.Predicate)
}

// blob reads a blob of at most limit bytes and checks its hash.
func (s *Service) blob(ctx context.Context, image string, d digest.Digest, limit int64) ([]byte, error) {
	r, err := s.registry.OpenBlob(ctx, image, d, 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", d, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("blob %s: over %d bytes", d, limit)
	}
	if d.Algorithm().FromBytes(content) != d {
		return nil, errorf(KindVerification, "blob %s of %s: the bytes in the store do not match", d, image).
			hinted("kiln doctor --scrub says what else is damaged")
	}
	return content, nil
}

package sign

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// Where cosign keeps a certificate and its proofs in a tag layout: annotations
// of the layer.
const (
	certificateAnnotation = "dev.sigstore.cosign/certificate"
	entryAnnotation       = "dev.sigstore.cosign/bundle"
	timestampAnnotation   = "dev.sigstore.cosign/rfc3161timestamp"
)

// annotatedMediaType is that of the bundle that such annotations make: in it a
// log entry has a promise (SET) and need not have a proof.
const annotatedMediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// entryJSON is a log entry as cosign annotates it.
type entryJSON struct {
	SignedEntryTimestamp []byte
	Payload              struct {
		Body           []byte `json:"body"`
		IntegratedTime int64  `json:"integratedTime"`
		LogIndex       int64  `json:"logIndex"`
		LogID          string `json:"logID"`
	}
}

// timestampJSON is an RFC 3161 response as cosign annotates it.
type timestampJSON struct{ SignedRFC3161Timestamp []byte }

// decodeAnnotations makes the verification material of a bundle of cosign's
// annotations; without a certificate it is that of a key. The chain that cosign adds is not read: the trusted root has
// what counts of it. ErrInvalid.
func decodeAnnotations(annotations map[string]string) (*protobundle.VerificationMaterial, error) {
	for _, name := range []string{certificateAnnotation, entryAnnotation, timestampAnnotation} {
		if n := len(annotations[name]); n > maxPayload {
			return nil, invalid("annotation %s: %d bytes, at most %d are read", name, n, maxPayload)
		}
	}
	material := &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
		PublicKey: &protocommon.PublicKeyIdentifier{},
	}}
	if said := annotations[certificateAnnotation]; said != "" {
		block, _ := pem.Decode([]byte(said))
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, invalid("annotation %s: not a PEM certificate", certificateAnnotation)
		}
		material.Content = &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: block.Bytes},
		}
	}
	if said := annotations[entryAnnotation]; said != "" {
		entry, err := decodeEntry([]byte(said))
		if err != nil {
			return nil, err
		}
		material.TlogEntries = append(material.TlogEntries, entry)
	}
	if said := annotations[timestampAnnotation]; said != "" {
		var stamp timestampJSON
		if err := json.Unmarshal([]byte(said), &stamp); err != nil {
			return nil, invalid("annotation %s: %v", timestampAnnotation, err)
		}
		material.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp.SignedRFC3161Timestamp}},
		}
	}
	return material, nil
}

func decodeEntry(content []byte) (*protorekor.TransparencyLogEntry, error) {
	var e entryJSON
	if err := json.Unmarshal(content, &e); err != nil {
		return nil, invalid("annotation %s: %v", entryAnnotation, err)
	}
	log, err := hex.DecodeString(e.Payload.LogID)
	if err != nil {
		return nil, invalid("annotation %s: log id: %v", entryAnnotation, err)
	}
	var kind struct{ APIVersion, Kind string }
	if err := json.Unmarshal(e.Payload.Body, &kind); err != nil {
		return nil, invalid("annotation %s: body: %v", entryAnnotation, err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          e.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: log},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime:    e.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: e.SignedEntryTimestamp},
		CanonicalizedBody: e.Payload.Body,
	}, nil
}

// encodeAnnotations is the inverse; a log entry without a promise is left out.
func encodeAnnotations(material *protobundle.VerificationMaterial) (map[string]string, error) {
	annotations := map[string]string{}
	if cert := material.GetCertificate(); cert != nil {
		annotations[certificateAnnotation] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.GetRawBytes()}))
	}
	for _, entry := range material.GetTlogEntries() {
		if entry.GetInclusionPromise() == nil {
			continue
		}
		var e entryJSON
		e.SignedEntryTimestamp = entry.GetInclusionPromise().GetSignedEntryTimestamp()
		e.Payload.Body = entry.GetCanonicalizedBody()
		e.Payload.IntegratedTime = entry.GetIntegratedTime()
		e.Payload.LogIndex = entry.GetLogIndex()
		e.Payload.LogID = hex.EncodeToString(entry.GetLogId().GetKeyId())
		content, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		annotations[entryAnnotation] = string(content)
	}
	for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		content, err := json.Marshal(timestampJSON{stamp.GetSignedTimestamp()})
		if err != nil {
			return nil, err
		}
		annotations[timestampAnnotation] = string(content)
	}
	return annotations, nil
}

// messageSignature is the content of a bundle whose signature is over message.
func messageSignature(sig, message []byte) *protobundle.Bundle_MessageSignature {
	sum := sha256.Sum256(message)
	return &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
		Signature:     sig,
	}}
}

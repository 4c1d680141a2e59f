package sign

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// The tag layout of cosign's signatures.
const (
	simpleSigningMediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation    = "dev.cosignproject.cosign/signature"
)

// encodePayload is the simple signing payload of an image.
func encodePayload(image string, d digest.Digest) ([]byte, error) {
	return json.Marshal(payload.SimpleContainerImage{
		Critical: payload.Critical{
			Identity: payload.Identity{DockerReference: image},
			Image:    payload.Image{DockerManifestDigest: d.String()},
			Type:     payload.CosignSignatureType,
		},
	})
}

// checkPayload requires that a payload, whose signature has been checked, is
// about this image and digest; it returns the image as the payload names it.
func (v *Verifier) checkPayload(content []byte, image string, d digest.Digest) (string, error) {
	var p payload.SimpleContainerImage
	if err := json.Unmarshal(content, &p); err != nil {
		return "", invalid("signature payload: %v", err)
	}
	if err := unambiguous("signature payload", content, true); err != nil {
		return "", err
	}
	if p.Critical.Type != payload.CosignSignatureType {
		return "", invalid("signature payload of type %q, not %q", p.Critical.Type, payload.CosignSignatureType)
	}
	if p.Critical.Image.DockerManifestDigest != d.String() {
		return "", invalid("signature for %q, not %s", p.Critical.Image.DockerManifestDigest, d)
	}
	said := p.Critical.Identity.DockerReference
	return said, v.checkName("signature", said, image, true)
}

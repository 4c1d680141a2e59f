// Package sign signs and verifies images, attestations, ledger records and
// channel statements. Its formats are those of cosign 2.6, so that the cosign
// program verifies what kiln signs and kiln what cosign signs. With a key nothing is sent
// to a transparency log.
//
// # What is written
//
// A key is a P-256 key in cosign's encrypted PEM form (scrypt and NaCl
// secretbox over PKCS #8). RSA keys that `cosign import-key-pair` made work as
// well. Keys may also lie in Vault's transit engine or behind a sigstore key
// service plugin (LoadSigner); signatures are the same. A key's id is "sha256:"
// and the hex digest of its DER SubjectPublicKeyInfo.
//
// A signature of an image is stored twice. Under the tag sha256-<hex>.sig lies
// an image manifest with one layer for each signature: a "simple signing"
// payload, its signature an annotation of the layer's descriptor. Beside it a
// referrer of the image holds a Sigstore bundle v0.3 with an in-toto statement
// of the predicate type https://sigstore.dev/cosign/sign/v1.
//
// An attestation is such a referrer with any other predicate type; Signer.AttachTag
// puts it under the tag sha256-<hex>.att as well. Records and channel statements
// are bare DSSE envelopes around the same statement.
//
// A keyless signer has a Fulcio certificate for an OIDC identity in place of a
// key; its signatures carry the certificate, a log entry and a timestamp.
//
// # What is checked
//
// Verification fails closed: there is no verifier without a key or an
// identity, no identity without issuer, subject and trusted root, no check without a digest, an image name and a predicate type, and an answer that
// cannot be read is an error, never "unsigned is fine". A signature counts only
// when it names the image (its docker-reference, or the statement's subject
// name) as the caller does, bare or behind a registry's host, or, for signatures
// and only on request (VerifierConfig.Nameless), names none. A certificate counts
// with what its trusted root demands and one verified time at least. How many signatures are
// looked at and how many bytes are read is bounded.
//
// What was read is never re-read: callers that act on a digest pass that
// digest, not a tag.
package sign

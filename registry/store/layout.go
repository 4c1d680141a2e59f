package store

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// The names of everything that a store holds. Callers pass checked image
// names, tags and digests; names here are built from nothing else.
const (
	FormatPointer = "format"
	TrustPointer  = "trust"
	// BackupPointer is where a place holds a backup, or half of a restored
	// store: see package backup. Such a place has no format.
	BackupPointer = "backup"
	// UploadSecretPointer holds what the ids of uploads are signed with.
	UploadSecretPointer = "upload-secret"
	ImagesPrefix        = "images/"
	BlobsPrefix         = "blobs/"
	// UploadsPrefix has unfinished uploads. A store may keep what lies there
	// without waiting for the disk: it survives the end of any process, but
	// after that of the machine an object may hold other bytes than were put,
	// and a pointer may be gone or hold no value. Copy makes a durable object
	// of one.
	UploadsPrefix  = "uploads/"
	GCPrefix       = "gc/"
	LeasesPrefix   = "leases/"
	TalliesPrefix  = "tallies/"
	DescendsPrefix = "descendants/"
	// QuarantinePrefix has what was found damaged; nothing serves it.
	QuarantinePrefix = "quarantine/"
	TokensPrefix     = "tokens/"
	// PoliciesPrefix has the sources of the policies that ever decided.
	PoliciesPrefix = "policies/"
)

// EscapeImage writes an image's name as one path component, so that no name's
// keys can lie inside another's.
func EscapeImage(image string) string { return strings.ReplaceAll(image, "/", "~") }

// UnescapeImage reverses EscapeImage.
func UnescapeImage(s string) string { return strings.ReplaceAll(s, "~", "/") }

// ImageKey is the prefix of all that belongs to one image, with its slash.
func ImageKey(image string) string { return ImagesPrefix + EscapeImage(image) + "/" }

// BlobKey is where a blob's bytes are.
func BlobKey(d digest.Digest) string {
	hex := d.Encoded()
	return BlobsPrefix + string(d.Algorithm()) + "/" + hex[:2] + "/" + hex
}

// BlobLinkKey: this image may serve that blob.
func BlobLinkKey(image string, d digest.Digest) string {
	return ImageKey(image) + "blobs/" + string(d)
}

// ManifestLinkKey holds a manifest's media type, size, artifactType, subject.
func ManifestLinkKey(image string, d digest.Digest) string {
	return ImageKey(image) + "manifests/" + string(d)
}

// ReferrersPrefix lists the referrers of subject.
func ReferrersPrefix(image string, subject digest.Digest) string {
	return ImageKey(image) + "referrers/" + string(subject) + "/"
}

// VersionsPrefix lists an image's versions, newest first.
func VersionsPrefix(image string) string { return ImageKey(image) + "versions/" }

// VersionKey sorts newest first: the time counts down.
func VersionKey(image string, at time.Time, d digest.Digest) string {
	return fmt.Sprintf("%s%019d-%s", VersionsPrefix(image), math.MaxInt64-at.UnixNano(), d)
}

// TagPointer is a tag of an image; "" gives the prefix of all.
func TagPointer(image, tag string) string { return ImageKey(image) + "tags/" + tag }

// StatePointer holds ledger head and channels of an image.
func StatePointer(image string) string { return ImageKey(image) + "state" }

// DescendantKey hints that image@d was baked on base; d "" gives the prefix.
func DescendantKey(base digest.Digest, image string, d digest.Digest) string {
	k := DescendsPrefix + string(base) + "/"
	if d == "" {
		return k
	}
	return k + EscapeImage(image) + "@" + string(d)
}

// PolicyKey holds the source of a policy, by its digest.
func PolicyKey(d digest.Digest) string { return PoliciesPrefix + string(d) }

// TokenPointer holds a robot token: its hash, its grants, its end.
func TokenPointer(id string) string { return TokensPrefix + id }

// LeasePointer is the lease of a holder on a digest; holder "" gives the prefix
// of all on d.
func LeasePointer(d digest.Digest, holder string) string {
	return LeasesPrefix + string(d) + "/" + holder
}

// LeaseTallyPointer counts the leases of one identity; id is made from its
// name and safe as a path component.
func LeaseTallyPointer(id string) string { return TalliesPrefix + "leases/" + id }

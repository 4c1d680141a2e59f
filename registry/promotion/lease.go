package promotion

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Lifetimes of a lease.
const (
	DefaultLease = 24 * time.Hour
	MaxLease     = 90 * 24 * time.Hour
)

// Quotas of leases; both count those that have not expired.
const (
	MaxLeasesOfDigest = 1_000  // holders of one digest
	MaxLeasesOfOwner  = 10_000 // leases of one identity
)

// LeaseSkew is how long an expired lease still protects: clocks of replicas
// may differ by that much.
const LeaseSkew = 10 * time.Minute

// LeaseRequest says that Holder runs Digest of Image.
type LeaseRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	// Holder names what runs it: letters, digits and ._@:+=- without spaces
	// or slashes, at most 128 bytes.
	Holder string `json:"holder"`
	// Lifetime from now on; DefaultLease if zero, MaxLease at most. An
	// extension never shortens a lease.
	Lifetime Duration `json:"lifetime,omitempty"`
	By       string   `json:"-"` // who asks; "" is whoever has the store in hand
	// Admin may extend and release what others took.
	Admin bool `json:"-"`
}

// LeaseSchema is the schema of a Lease.
const LeaseSchema = "kiln.lease/v1"

// Lease keeps a digest of an image from being collected.
type Lease struct {
	Schema  string        `json:"schema,omitempty"` // absent in a LeaseList
	Image   string        `json:"image"`
	Digest  digest.Digest `json:"digest"`
	Holder  string        `json:"holder"`
	By      string        `json:"by"` // who took it; "" for whoever had the store in hand
	At      time.Time     `json:"at"` // when it was taken or last extended
	Expires time.Time     `json:"expires"`
}

// ReleaseRequest ends the lease of Holder on Digest of Image.
type ReleaseRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Holder string        `json:"holder"`
	By     string        `json:"-"`
	Admin  bool          `json:"-"` // may release what others took
}

// LeasesRequest asks for leases: of Image and of Digest, each "" for all.
type LeasesRequest struct {
	Image  string        `json:"image,omitempty"`
	Digest digest.Digest `json:"digest,omitempty"`
	Limit  int           `json:"limit,omitempty"`
	Cursor string        `json:"cursor,omitempty"`
}

// LeasesSchema is the schema of a LeaseList.
const LeasesSchema = "kiln.leases/v1"

// LeaseList is a page of leases, by digest and holder. A page may hold fewer
// than its limit.
type LeaseList struct {
	Schema string  `json:"schema"`
	Leases []Lease `json:"leases"`
	Next   string  `json:"next"` // "" on the last page
}

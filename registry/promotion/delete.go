package promotion

import "github.com/opencontainers/go-digest"

// DeleteRequest asks to remove Digest of Image.
type DeleteRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	By     string        `json:"-"`
}

// DeletionSchema is the schema of a Deletion.
const DeletionSchema = "kiln.deletion/v1"

// Deletion says what was removed.
type Deletion struct {
	Schema string        `json:"schema"`
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest"`
	Tags   []string      `json:"tags"` // version tags, which are never used again
	// Attached are the signatures and attestations that went with it.
	Attached []digest.Digest `json:"attached"`
}

package promotion

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// VersionsRequest asks for the versions of Image, of one digest if Digest is
// given.
type VersionsRequest struct {
	Image  string        `json:"image"`
	Digest digest.Digest `json:"digest,omitempty"`
	Limit  int           `json:"limit,omitempty"`
	Cursor string        `json:"cursor,omitempty"`
}

// VersionsSchema is the schema of Versions.
const VersionsSchema = "kiln.versions/v1"

// Versions is a page of versions, newest first. A digest that was baked again
// is listed once, at its newest tag of the page.
type Versions struct {
	Schema   string    `json:"schema"`
	Image    string    `json:"image"`
	Versions []Version `json:"versions"`
	Next     string    `json:"next"`
}

// Version is one baked digest.
type Version struct {
	Digest   digest.Digest `json:"digest"`
	Tags     []string      `json:"tags"`
	Created  time.Time     `json:"created"`  // when it was baked
	Revision string        `json:"revision"` // git commit of the template, "" if unknown
	Channels []string      `json:"channels"` // that hold it now
	// Revoked: it, or what its manifest says that it was baked on.
	Revoked bool `json:"revoked"`
	// RevokedBecause is the reason, and which ancestor it is of; also of what is
	// revoked from RevokedFrom on.
	RevokedBecause string `json:"revoked_because,omitempty"`
	// RevokedFrom is when a planned revocation begins; absent without one, and
	// for what is revoked already.
	RevokedFrom *time.Time `json:"revoked_from,omitempty"`
}

// ImagesRequest asks for the images of the store.
type ImagesRequest struct {
	Limit  int    `json:"limit,omitempty"`
	Cursor string `json:"cursor,omitempty"`
}

// ImagesSchema is the schema of Images.
const ImagesSchema = "kiln.images/v1"

// Images is a page of images in byte order.
type Images struct {
	Schema string  `json:"schema"`
	Images []Image `json:"images"`
	Next   string  `json:"next"`
}

// Image is one image and what its channels hold.
type Image struct {
	Image    string                   `json:"image"`
	Channels map[string]digest.Digest `json:"channels"`
}

// ChannelsRequest asks for the channels of Image.
type ChannelsRequest struct {
	Image string `json:"image"`
}

// ChannelsSchema is the schema of a ChannelList.
const ChannelsSchema = "kiln.channels/v1"

// ChannelList lists an image's channels.
type ChannelList struct {
	Schema   string    `json:"schema"`
	Image    string    `json:"image"`
	Channels []Channel `json:"channels"`
}

// Channel is one channel; an empty one has only its name.
type Channel struct {
	Channel    string        `json:"channel"`
	Digest     digest.Digest `json:"digest"`
	Sequence   int64         `json:"sequence"` // of the record that moved it last
	Record     digest.Digest `json:"record"`
	PromotedAt *time.Time    `json:"promoted_at"`
	PromotedBy string        `json:"promoted_by"`
	Issued     *time.Time    `json:"issued"`  // of the statement
	Expires    *time.Time    `json:"expires"` // of the statement
	// Revoked: what it holds, or what that was baked on. Then it answers nothing.
	Revoked bool `json:"revoked"`
	// RevokedBecause is the reason, and which ancestor it is of.
	RevokedBecause string `json:"revoked_because,omitempty"`
}

// RenewRequest asks for new statements: of one image, or of all for ""; of one
// channel, or of all for "".
type RenewRequest struct {
	Image   string `json:"image,omitempty"`
	Channel string `json:"channel,omitempty"`
	By      string `json:"-"`
}

// RenewSchema is the schema of a Renewal.
const RenewSchema = "kiln.renewal/v1"

// Renewal lists the statements that were issued anew, and what was left out
// because it is revoked.
type Renewal struct {
	Schema  string    `json:"schema"`
	Renewed []Renewed `json:"renewed"`
	Revoked []Renewed `json:"revoked"`
}

// Renewed is one channel in a Renewal.
type Renewed struct {
	Image   string        `json:"image"`
	Channel string        `json:"channel"`
	Digest  digest.Digest `json:"digest"`
	Expires time.Time     `json:"expires"`
}

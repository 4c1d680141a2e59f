package registry

import (
	_ "crypto/sha256" // CheckDigest knows both
	_ "crypto/sha512"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"
)

// MaxNameLength bounds a repository name, in bytes.
const MaxNameLength = 200

var (
	hostRE    = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$`)
	versionRE = regexp.MustCompile(`^(.+-)?[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}(-dirty)?$`)
)

// CheckName refuses what is no repository name (distribution spec, "Pulling
// manifests"), with CodeNameInvalid.
func CheckName(name string) error {
	if len(name) > MaxNameLength || !isName(name) {
		return Errorf(CodeNameInvalid, "invalid image name %q: want lower-case path components of at most %d bytes together", clip(name), MaxNameLength)
	}
	return nil
}

// CheckTag refuses what is no tag, with CodeTagInvalid.
func CheckTag(tag string) error {
	if !isTag(tag) {
		return Errorf(CodeTagInvalid, "invalid tag %q", clip(tag))
	}
	return nil
}

// CheckDigest refuses what is no sha256 or sha512 digest in canonical form,
// with CodeDigestInvalid. A digest that passed is safe as part of a key.
func CheckDigest(d digest.Digest) error {
	if !isDigest(string(d)) {
		return Errorf(CodeDigestInvalid, "invalid digest %q: want sha256: or sha512: and lower-case hex", clip(string(d)))
	}
	return nil
}

// IsVersionTag tells a version tag, which is write-once, from other tags.
func IsVersionTag(tag string) bool { return versionRE.MatchString(tag) }

// Reference names an image, and a tag or digest of it.
type Reference struct {
	Host   string // "" for the store that --store names
	Name   string // repository
	Tag    string
	Digest digest.Digest
}

// ParseReference reads IMAGE[:TAG][@DIGEST], with a host in front where the
// first component has a dot or a colon or is "localhost".
func ParseReference(s string) (Reference, error) {
	var r Reference
	rest := s
	if at := strings.IndexByte(rest, '@'); at >= 0 {
		r.Digest = digest.Digest(rest[at+1:])
		rest = rest[:at]
		if err := CheckDigest(r.Digest); err != nil {
			return Reference{}, err
		}
	}
	if host, tail, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(host, ".:") || host == "localhost") {
		r.Host, rest = host, tail
		if !hostRE.MatchString(host) {
			return Reference{}, Errorf(CodeNameInvalid, "invalid host %q", clip(host))
		}
	}
	if colon := strings.LastIndexByte(rest, ':'); colon >= 0 {
		r.Tag = rest[colon+1:]
		rest = rest[:colon]
		if err := CheckTag(r.Tag); err != nil {
			return Reference{}, err
		}
	}
	r.Name = rest
	if err := CheckName(r.Name); err != nil {
		return Reference{}, err
	}
	return r, nil
}

func (r Reference) String() string {
	var b strings.Builder
	if r.Host != "" {
		b.WriteString(r.Host + "/")
	}
	b.WriteString(r.Name)
	if r.Tag != "" {
		b.WriteString(":" + r.Tag)
	}
	if r.Digest != "" {
		b.WriteString("@" + string(r.Digest))
	}
	return b.String()
}

// clip keeps a hostile value from flooding a message.
func clip(s string) string {
	if len(s) > 120 {
		return s[:120] + "…"
	}
	return s
}

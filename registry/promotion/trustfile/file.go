package trustfile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kiln/registry/promotion"
	"kiln/sign"

	"github.com/bmatcuk/doublestar/v4"
)

// maxPattern bounds the pattern of a third_party rule, in bytes.
const maxPattern = 500

// File is what a trust.hcl says. The zero value trusts nobody.
type File struct {
	Name string // for people
	// Trust are the blocks bake, promote and approve, and the trusted root.
	Trust   promotion.Trust
	StoreID string        // the store whose statements count; "" for any
	MaxAge  time.Duration // of a channel statement; 0 for its whole life

	bakes []bakeBlock
	third []thirdParty
}

// names says whether the rule is about an image: of its very host, in whatever
// case, for a host is no pattern ("[::1]" would be one).
func (t thirdParty) names(host, name string) bool {
	own, pattern, _ := strings.Cut(t.pattern, "/")
	return strings.EqualFold(own, host) && doublestar.MatchUnvalidated(pattern, name)
}

// bakeBlock is a bake block: what it requires to be attested of the images of
// its pattern.
type bakeBlock struct {
	image string
	line  int // in the file
	types []string
}

// thirdParty lets images of others pass.
type thirdParty struct {
	pattern    string // of host/name
	signedAs   string // the name in their signatures; "" is host/name
	principals []sign.Principal
	require    []string
}

// Rule says who must have signed one image, and what must be attested.
type Rule struct {
	Name string // such as `bake "acme/**" (line 4)`, for people
	// Image is the name that signatures and attestations must say.
	Image string
	// Require are the predicate types of which there must be an attestation.
	Require []string
	// ThirdParty tells that the image is somebody else's.
	ThirdParty bool

	principals []sign.Principal
	root       []byte
}

// Rule finds who must have signed an image: name is without host, host is "" in
// a store or a layout. An image of a host passes by a third_party rule for it,
// or else as a copy of your own, by the bake rules for its name. KindDenied
// where no rule names it.
func (f *File) Rule(host, name string) (Rule, error) {
	if host != "" {
		if r, ok := f.thirdParty(host, name); ok {
			return r, nil
		}
	}
	r := Rule{
		Image:      name,
		principals: f.Trust.Principals(promotion.RoleBake, name, ""), root: f.Trust.Root,
	}
	if len(r.principals) == 0 {
		return Rule{}, f.unnamed(host, name)
	}
	var names []string
	for _, b := range f.bakes {
		if doublestar.MatchUnvalidated(b.image, name) {
			r.Require = append(r.Require, b.types...)
			names = append(names, fmt.Sprintf("bake %q (line %d)", b.image, b.line))
		}
	}
	r.Name = strings.Join(names, ", ")
	slices.Sort(r.Require)
	r.Require = slices.Compact(r.Require)
	return r, nil
}

// thirdParty joins the rules that name an image: any of their signers, all that
// they require.
func (f *File) thirdParty(host, name string) (Rule, bool) {
	r := Rule{Image: strings.ToLower(host) + "/" + name, ThirdParty: true, root: f.Trust.Root}
	for _, t := range f.third {
		if !t.names(host, name) {
			continue
		}
		if r.Name == "" {
			r.Name = fmt.Sprintf("third_party %q", t.pattern)
		}
		if t.signedAs != "" {
			r.Image = t.signedAs
		}
		r.principals = append(r.principals, t.principals...)
		r.Require = append(r.Require, t.require...)
	}
	slices.Sort(r.Require)
	r.Require = slices.Compact(r.Require)
	return r, r.Name != ""
}

// unnamed refuses an image that no rule names.
func (f *File) unnamed(host, name string) error {
	e := &promotion.Error{Kind: promotion.KindDenied, Message: fmt.Sprintf("%s: no bake rule names %s", f.Name, name)}
	e.Hint = fmt.Sprintf(`add bake { image = %q key = file("KEY.pub") }`, name)
	if host != "" {
		e.Message = fmt.Sprintf("%s: no third_party rule names %s/%s, and no bake rule %s", f.Name, host, name, name)
		e.Hint = fmt.Sprintf(`add third_party "%s/%s" { key = file("KEY.pub") }`, host, name)
	}
	return e
}

// Verifier verifies for those that the rule names. now is time.Now if nil.
func (r Rule) Verifier(now func() time.Time) (*sign.Verifier, error) {
	return sign.NewVerifierFor(sign.VerifierConfig{Principals: r.principals, TrustedRoot: r.root, Now: now})
}

// Options are those of a deployer who asks for a channel of an image: what
// Seen, Manifest and MinSequence should be is his to add.
func (f *File) Options(image, channel string) promotion.VerifyOptions {
	return promotion.VerifyOptions{Image: image, Channel: channel, Trust: &f.Trust, StoreID: f.StoreID, MaxAge: f.MaxAge, Require: f.required(image)}
}

// required are the predicate types that the bake rules for an image require.
func (f *File) required(image string) []string {
	r, err := f.Rule("", image)
	if err != nil {
		return nil // nobody may bake it, which is an error of its own
	}
	return r.Require
}

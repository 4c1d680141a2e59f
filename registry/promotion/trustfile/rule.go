package trustfile

import (
	"strings"

	"kiln/registry"
	"kiln/registry/promotion"
	"kiln/sign"

	"github.com/bmatcuk/doublestar/v4"
)

// read is what a bake, promote or approve block says.
type read struct {
	image   string
	entries []promotion.TrustEntry
	require []string
}

// rule reads a block of a role; one of third_party has no image.
func (b block) rule(role promotion.Role, image string) read {
	r := read{image: image}
	if image == "" {
		if r.image = b.text("image"); r.image == "" && !b.Has("image") {
			b.WrongBlock(`image is missing: name a pattern such as "acme/**"`)
		}
	}
	e := promotion.TrustEntry{Role: role, Image: r.image, NotBefore: b.date("not_before", false), NotAfter: b.date("not_after", true)}
	if role == promotion.RoleBake {
		r.require = b.predicates("require")
	} else {
		e.Channels = b.texts("channels")
	}
	for _, key := range b.keys() {
		k := e
		k.Key = key
		r.entries = append(r.entries, k)
	}
	for _, in := range b.blocks("identity") {
		i := e
		i.Identity = &sign.Identity{Issuer: in.text("issuer"), Subject: in.text("subject"), SubjectRegexp: in.text("subject_regexp")}
		in.Done()
		r.entries = append(r.entries, i)
	}
	b.Done()
	if len(r.entries) == 0 && !b.Has("key") && !b.Has("keys") {
		b.WrongBlock(`it names nobody: write key = file("%s.pub") or identity { issuer = … subject = … }`, role)
	}
	for i := range r.entries {
		b.settle(&r.entries[i])
	}
	return r
}

// settle gives an entry its id, and notes what is wrong with it.
func (b block) settle(e *promotion.TrustEntry) {
	if e.Image == "" {
		return // told already
	}
	id, err := e.Principal().ID()
	e.KeyID = id
	if clear := e.Check(); clear != nil {
		err = clear
	}
	if err != nil {
		b.WrongBlock("%v", err)
	}
}

// keys are the PEM keys of key and keys.
func (b block) keys() []string {
	list := b.texts("keys")
	if key := b.text("key"); key != "" {
		list = append(list, key)
	}
	for _, k := range list {
		if _, err := sign.KeyID([]byte(k)); err != nil {
			b.WrongBlock(`key: %v; write key = file("bake.pub")`, err)
			return nil
		}
	}
	return list
}

// thirdParty reads a rule that lets images of others pass.
func (b block) thirdParty() thirdParty {
	t := thirdParty{pattern: b.Labels[0], signedAs: b.text("signed_as")}
	host, name, ok := strings.Cut(t.pattern, "/")
	ref, err := registry.ParseReference(host + "/x")
	switch {
	case !ok || name == "" || err != nil || ref.Host == "":
		b.WrongBlock(`name the registry and the image: third_party "registry.example.com/library/*"`)
	case !doublestar.ValidatePattern(name) || len(t.pattern) > maxPattern:
		b.WrongBlock("invalid pattern")
	}
	r := b.rule(promotion.RoleBake, promotion.EveryImage)
	t.require = r.require
	for _, e := range r.entries {
		t.principals = append(t.principals, e.Principal())
	}
	return t
}

package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kiln/registry/promotion"

	"github.com/bmatcuk/doublestar/v4"
)

// Grant and Verb are promotion's, whose API shows them.
type (
	Grant = promotion.Grant
	Verb  = promotion.Verb
)

// The verbs.
const (
	Pull     Verb = "pull"     // read an image, its channels and its history
	Push     Verb = "push"     // add blobs, manifests and tags
	Attest   Verb = "attest"   // add manifests with a subject or a sha256-* tag, and blobs for them; nothing else
	Delete   Verb = "delete"   // remove blobs, manifests, tags and versions
	Promote  Verb = "promote"  // move a channel forward, and renew its statement
	Approve  Verb = "approve"  // say yes to a promotion
	Rollback Verb = "rollback" // move a channel back
	Revoke   Verb = "revoke"   // declare a version unusable, and take that back
	Lease    Verb = "lease"    // say that a version runs somewhere
	Policy   Verb = "policy"   // read and change what gates promotions
	GC       Verb = "gc"       // collect garbage; with the image pattern ** only
	Admin    Verb = "admin"    // trust and tokens; with the image pattern ** only
)

// Verbs lists every verb.
func Verbs() []Verb {
	return []Verb{Pull, Push, Attest, Delete, Promote, Approve, Rollback, Revoke, Lease, Policy, GC, Admin}
}

// deed is what a verb allows, for people, where its name says too little.
func deed(v Verb) string {
	switch v {
	case Policy:
		return "see or change what gates promotions"
	case GC:
		return "collect what nothing reaches"
	case Admin:
		return "see or change trust and tokens"
	}
	return string(v)
}

// channelVerbs are about one channel.
func channelVerbs() []Verb { return []Verb{Promote, Approve, Rollback} }

// EveryImage is the pattern of a grant for the whole store.
const EveryImage = "**"

// allows says whether grants let verb be done with image and, for a verb about
// a channel, with channel. An image that is EveryImage stands for the whole
// store.
func allows(grants []Grant, verb Verb, image, channel string) bool {
	return slices.ContainsFunc(grants, func(g Grant) bool {
		if !slices.Contains(g.Verbs, verb) || !matchesImage(g.Images, image) {
			return false
		}
		return !slices.Contains(channelVerbs(), verb) || matches(g.Channels, channel)
	})
}

func matchesImage(patterns []string, image string) bool {
	if image == EveryImage {
		return slices.Contains(patterns, EveryImage)
	}
	return matches(patterns, image)
}

// matches takes no empty value: an unset name is nobody's.
func matches(patterns []string, value string) bool {
	return value != "" && slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := doublestar.Match(p, value)
		return ok && err == nil
	})
}

// Bounds of a list of grants.
const (
	maxGrants   = 100
	maxPatterns = 100
	maxPattern  = 200 // bytes
)

// checkGrants refuses grants that grant nothing, or what they do not say.
func checkGrants(grants []Grant) error {
	if len(grants) > maxGrants {
		return fmt.Errorf("%d grants: at most %d", len(grants), maxGrants)
	}
	for _, g := range grants {
		if err := checkGrant(g); err != nil {
			return err
		}
	}
	return nil
}

func checkGrant(g Grant) error {
	switch {
	case len(g.Images) == 0:
		return errors.New(`a grant without images grants nothing: "acme/*", "**" for all`)
	case len(g.Verbs) == 0:
		return fmt.Errorf("a grant without verbs grants nothing: some of %s", verbList())
	case len(g.Images) > maxPatterns || len(g.Channels) > maxPatterns:
		return fmt.Errorf("a grant of more than %d patterns", maxPatterns)
	}
	for _, v := range g.Verbs {
		if !slices.Contains(Verbs(), v) {
			return fmt.Errorf("unknown verb %q: want %s", clip(string(v)), verbList())
		}
		if slices.Contains(channelVerbs(), v) && len(g.Channels) == 0 {
			return fmt.Errorf(`%s without channels grants nothing: "dev", "**" for all`, v)
		}
		if (v == GC || v == Admin) && !slices.Contains(g.Images, EveryImage) {
			return fmt.Errorf("%s is about the whole store: its images must be %q", v, EveryImage)
		}
	}
	for _, p := range slices.Concat(g.Images, g.Channels) {
		if err := checkPattern(p); err != nil {
			return err
		}
	}
	return nil
}

// checkPattern refuses what doublestar cannot read, or reads slowly.
func checkPattern(p string) error {
	if p == "" || len(p) > maxPattern || !doublestar.ValidatePattern(p) || strings.Count(p, "**") > 4 || strings.Count(p, "{") > 4 {
		return fmt.Errorf("invalid pattern %q: want acme/shop, acme/* or **, of at most %d bytes and with at most four of ** and {", clip(p), maxPattern)
	}
	return nil
}

func verbList() string {
	names := make([]string, 0, len(Verbs()))
	for _, v := range Verbs() {
		names = append(names, string(v))
	}
	return strings.Join(names, ", ")
}

// clip keeps a hostile value from flooding a message.
func clip(s string) string {
	if len(s) > 120 {
		return strings.ToValidUTF8(s[:120], "") + "…"
	}
	return s
}

package access

import (
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

func TestAllows(t *testing.T) {
	grants := []Grant{
		grant("pull push", "acme/*"),
		{Images: []string{"acme/shop"}, Channels: []string{"dev", "staging"}, Verbs: []Verb{Promote, Approve}},
		grant("delete", "acme/{a,b}", "other/**"),
		grant("promote", "acme/base"), // without channels: none
		grant("gc", "acme/*"),         // not the whole store
		{Verbs: []Verb{Admin}},        // of no image
		{Images: []string{"**"}},      // no verb
	}
	for _, c := range []struct {
		verb           Verb
		image, channel string
		want           bool
	}{
		{Pull, "acme/shop", "", true},
		{Push, "acme/shop", "", true},
		{Pull, "acme/shop/sub", "", false},
		{Pull, "acme", "", false},
		{Pull, "acme2/shop", "", false},
		{Pull, "", "", false},
		{Pull, EveryImage, "", false},
		{Attest, "acme/shop", "", false},
		{Promote, "acme/shop", "dev", true},
		{Promote, "acme/shop", "staging", true},
		{Promote, "acme/shop", "prod", false},
		{Promote, "acme/shop", "", false},
		{Approve, "acme/shop", "dev", true},
		{Rollback, "acme/shop", "dev", false},
		{Promote, "acme/base", "dev", false},
		{Promote, "acme/other", "dev", false},
		{Delete, "acme/a", "", true},
		{Delete, "acme/c", "", false},
		{Delete, "other/x/y/z", "", true},
		{GC, EveryImage, "", false},
		{GC, "acme/shop", "", true},
		{Admin, EveryImage, "", false},
		{Admin, "", "", false},
		{"", "acme/shop", "", false},
		{"fly", "acme/shop", "", false},
	} {
		if got := allows(grants, c.verb, c.image, c.channel); got != c.want {
			t.Errorf("%s %s %s: %v, want %v", c.verb, c.image, c.channel, got, c.want)
		}
		for _, none := range [][]Grant{nil, {}, {{}}} {
			if allows(none, c.verb, c.image, c.channel) {
				t.Errorf("%v grants %s %s", none, c.verb, c.image)
			}
		}
	}
	if all := []Grant{grant("admin gc", EveryImage)}; !allows(all, Admin, EveryImage, "") || !allows(all, GC, EveryImage, "") {
		t.Error("a grant for ** is not for the whole store")
	}
}

func TestCheckGrants(t *testing.T) {
	for text, g := range map[string]Grant{
		"without images":          grant("pull"),
		"without verbs":           {Images: []string{"**"}},
		`unknown verb "fly"`:      grant("fly", "**"),
		`unknown verb ""`:         grant("", "**"),
		"without channels":        grant("rollback", "**"),
		"about the whole store":   grant("admin", "acme/**"),
		"gc is about the whole":   grant("gc", "acme/**"),
		`invalid pattern "[a"`:    grant("pull", "[a"),
		`invalid pattern ""`:      grant("pull", ""),
		`invalid pattern "**/**/`: grant("pull", strings.Repeat("**/", 5)),
		`invalid pattern "{a,{`:   grant("pull", "{a,{a,{a,{a,{a,b}}}}}"),
		`invalid pattern "aaaa`:   grant("pull", strings.Repeat("a", 201)),
		`invalid pattern "{"`:     {Images: []string{"**"}, Channels: []string{"{"}, Verbs: []Verb{Promote}},
	} {
		if err := checkGrants([]Grant{g}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v, want %s", g, err, text)
		}
	}
	if err := checkGrants([]Grant{{Images: []string{EveryImage}, Channels: []string{"*"}, Verbs: Verbs()}}); err != nil {
		t.Error(err)
	}
}

// A pattern that is accepted is matched quickly, and matches what doublestar
// says: nothing that is empty.
func FuzzGrantPattern(f *testing.F) {
	for _, s := range []string{"acme/*", "**", "{a,b}/**", "[a-z]*", "acme/shop", "\\*", "**/a/**", "*****", "{,}"} {
		f.Add(s, "acme/shop")
		f.Add(s, "")
	}
	f.Fuzz(func(t *testing.T, pattern, image string) {
		if checkPattern(pattern) != nil || len(image) > 200 {
			return
		}
		got := allows([]Grant{grant("pull", pattern)}, Pull, image, "")
		if image == EveryImage {
			if got != (pattern == EveryImage) {
				t.Errorf("%q grants the whole store: %v", pattern, got)
			}
			return
		}
		want, err := doublestar.Match(pattern, image)
		if got != (want && err == nil && image != "") {
			t.Errorf("%q grants %q: %v, doublestar says %v %v", pattern, image, got, want, err)
		}
	})
}

// A refusal says in words what may not be done.
func TestDeeds(t *testing.T) {
	for _, v := range Verbs() {
		text := deed(v)
		switch v {
		case Policy, GC, Admin:
			if !strings.Contains(text, " ") {
				t.Errorf("somebody may not %s", text)
			}
		default:
			if text != string(v) {
				t.Errorf("%s is called %s", v, text)
			}
		}
	}
}

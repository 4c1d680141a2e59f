package trustfile

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"kiln/registry/hclfile"
	"kiln/registry/promotion"
	"kiln/sign"
)

// pair are two public keys, made once.
var pair = sync.OnceValues(func() (keys [2]string, err error) {
	for i := range keys {
		_, public, err := sign.GenerateKey(nil)
		if err != nil {
			return keys, err
		}
		keys[i] = string(public)
	}
	return keys, nil
})

// files answers file("…") with a.pub and b.pub.
func files(t testing.TB) func(string) ([]byte, error) {
	t.Helper()
	keys, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) ([]byte, error) {
		switch name {
		case "a.pub":
			return []byte(keys[0]), nil
		case "b.pub":
			return []byte(keys[1]), nil
		case "huge":
			return make([]byte, maxFile+1), nil
		}
		return nil, fs.ErrNotExist
	}
}

const whole = `
store_id = "store-1"
max_age  = "24h"

bake {
  image   = "acme/**"
  key     = file("a.pub")
  require = ["provenance", "https://example.com/review/v1"]
}
bake {
  image      = "acme/shop"
  keys       = [file("b.pub")]
  not_before = "2026-03-01"
  not_after  = "2026-03-31"
  require    = ["spdx"]
}
promote {
  image    = "acme/**"
  channels = ["dev", "stag*"]
  key      = file("b.pub")
}
promote {
  image    = "acme/shop"
  channels = ["prod"]
  keys     = [file("a.pub"), file("b.pub")]
}
third_party "registry.example.com/library/*" {
  key     = file("b.pub")
  require = ["spdx"]
}
third_party "mirror.example.com:5000/debian" {
  key       = file("b.pub")
  signed_as = "registry.example.com/library/debian"
}
third_party "[::1]:5000/**" {
  key = file("b.pub")
}
`

func TestFile(t *testing.T) {
	f, err := Parse("trust.hcl", []byte(whole), files(t))
	if err != nil {
		t.Fatal(err)
	}
	if f.StoreID != "store-1" || f.MaxAge != 24*time.Hour || len(f.Trust.Entries) != 5 {
		t.Errorf("%+v", f)
	}
	for _, c := range []struct {
		role           promotion.Role
		image, channel string
		want           int
	}{
		{promotion.RoleBake, "acme/shop", "", 2},
		{promotion.RoleBake, "acme/api", "", 1},
		{promotion.RoleBake, "other/api", "", 0},
		{promotion.RolePromote, "acme/shop", "prod", 2},
		{promotion.RolePromote, "acme/api", "prod", 0},
		{promotion.RolePromote, "acme/api", "staging", 1},
		{promotion.RoleApprove, "acme/shop", "prod", 0},
	} {
		if got := f.Trust.Principals(c.role, c.image, c.channel); len(got) != c.want {
			t.Errorf("%s %s %s: %d, want %d", c.role, c.image, c.channel, len(got), c.want)
		}
	}
	p := f.Trust.Principals(promotion.RoleBake, "acme/shop", "")[1]
	if got := fmt.Sprint(p.NotBefore, p.NotAfter); got != "2026-03-01 00:00:00 +0000 UTC 2026-03-31 23:59:59 +0000 UTC" {
		t.Errorf("dates %s", got)
	}
	const review = "https://example.com/review/v1"
	for _, c := range []struct {
		host, name, rule, image string
		third                   bool
		require                 []string
	}{
		{"", "acme/api", `bake "acme/**" (line 5)`, "acme/api", false, []string{review, sign.ProvenancePredicate}},
		{"", "acme/shop", `bake "acme/**" (line 5), bake "acme/shop" (line 10)`, "acme/shop", false, []string{review, sign.ProvenancePredicate, sign.SPDXPredicate}},
		{"mirror.example.com:5000", "acme/api", `bake "acme/**" (line 5)`, "acme/api", false, []string{review, sign.ProvenancePredicate}},
		{"registry.example.com", "library/debian", `third_party "registry.example.com/library/*"`, "registry.example.com/library/debian", true, []string{sign.SPDXPredicate}},
		{"mirror.example.com:5000", "debian", `third_party "mirror.example.com:5000/debian"`, "registry.example.com/library/debian", true, nil},
		{"Registry.EXAMPLE.com", "library/debian", `third_party "registry.example.com/library/*"`, "registry.example.com/library/debian", true, []string{sign.SPDXPredicate}},
		{"[::1]:5000", "acme/shop", `third_party "[::1]:5000/**"`, "[::1]:5000/acme/shop", true, nil},
		{"1:5000", "acme/api", `bake "acme/**" (line 5)`, "acme/api", false, []string{review, sign.ProvenancePredicate}}, // no pattern for hosts
	} {
		r, err := f.Rule(c.host, c.name)
		if err != nil || r.Name != c.rule || r.Image != c.image || r.ThirdParty != c.third || !reflect.DeepEqual(r.Require, c.require) {
			t.Errorf("%s %s: %+v: %v", c.host, c.name, r, err)
		}
		if _, err := r.Verifier(nil); err != nil {
			t.Error(err)
		}
	}
	for _, c := range [][2]string{
		{"", "other/api"}, {"", "library/debian"}, {"", ""}, {"", "registry.example.com/library/debian"},
		{"registry.example.com", "library/deep/er"}, {"registry.example.com", "debian"}, {"mirror.example.com", "debian"}, {"evil.example.com", "library/debian"},
	} {
		if r, err := f.Rule(c[0], c[1]); promotion.KindOf(err) != promotion.KindDenied || r.Name != "" {
			t.Errorf("%v: %+v: %v", c, r, err)
		}
	}
	o := f.Options("acme/shop", "prod")
	if o.StoreID != "store-1" || o.MaxAge != 24*time.Hour || o.Trust != &f.Trust || len(o.Require) != 3 {
		t.Errorf("options %+v", o)
	}
}

// What a file says wrong is told by line, all at once; what it does not say is
// no permission.
func TestProblems(t *testing.T) {
	good := "bake {\n image = \"acme/**\"\n key = file(\"a.pub\")\n}\n"
	for _, c := range []struct{ name, src, want string }{
		{"empty", "", `trust.hcl: it trusts nobody: write bake {`},
		{"only promote", "promote {\n image = \"**\"\n key = file(\"a.pub\")\n}", `trust.hcl: it trusts nobody`},
		{"empty block", "\nbake {\n}", "trust.hcl:2: bake: image is missing: name a pattern such as \"acme/**\"\ntrust.hcl:2: bake: it names nobody: write key = file(\"bake.pub\") or identity {"},
		{"empty third party", `third_party "registry.example.com/x" {}`, `trust.hcl:1: third_party "registry.example.com/x": it names nobody`},
		{"third party without host", `third_party "library/*" { key = file("a.pub") }`, `trust.hcl:1: third_party "library/*": name the registry and the image`},
		{"third party of everybody", `third_party "**" { key = file("a.pub") }`, `name the registry and the image`},
		{"third party of any host", `third_party "*.example.com/**" { key = file("a.pub") }`, `name the registry and the image`},
		{"third party without label", `third_party { key = file("a.pub") }`, `trust.hcl:1: third_party has 0 labels, want 1: write third_party "HOST/NAME" {`},
		{"third party with channels", "third_party \"registry.example.com/x\" {\n channels = [\"prod\"]\n key = file(\"a.pub\")\n}", `unknown attribute "channels"`},
		{"labels", `bake "acme" { }`, `trust.hcl:1: bake has 1 label, want 0: write bake {`},
		{"unknown attribute", good + "promote {\n image = \"**\"\n chanels = [\"dev\"]\n key = file(\"b.pub\")\n}", `trust.hcl:7: promote: unknown attribute "chanels" (did you mean "channels"?)`},
		{"unknown block", good + "promot {\n}", `trust.hcl:5: unknown block "promot" (did you mean "promote"?)`},
		{"block as attribute", `bake = "x"`, `trust.hcl:1: unknown attribute "bake" (bake is a block: write bake { without =)`},
		{"attribute as block", good + "max_age {\n}", `trust.hcl:5: unknown block "max_age" (max_age is an attribute: write max_age = …)`},
		{"channels of a bake", "bake {\n image = \"**\"\n channels = [\"dev\"]\n key = file(\"a.pub\")\n}", `trust.hcl:3: bake: unknown attribute "channels"`},
		{"no such file", "bake {\n image = \"**\"\n key = file(\"c.pub\")\n}", `trust.hcl:3: bake: key: Error in function call`},
		{"huge file", "bake {\n image = \"**\"\n key = file(\"huge\")\n}", `more than 524288 bytes`},
		{"no key", "bake {\n image = \"**\"\n key = \"a.pub\"\n}", `trust.hcl:1: bake: key: unusable key: not PEM; write key = file("bake.pub")`},
		{"no keys", "bake {\n image = \"**\"\n keys = []\n}", `trust.hcl:3: bake: keys: the list is empty`},
		{"a null key", "bake {\n image = \"**\"\n keys = [null]\n}", `an element is null or empty`},
		{"null", "bake {\n image = null\n key = file(\"a.pub\")\n}", `trust.hcl:2: bake: image: a value is required`},
		{"empty image", "bake {\n image = \"\"\n key = file(\"a.pub\")\n}", `trust.hcl:2: bake: image: it is empty`},
		{"bad pattern", "bake {\n image = \"acme/[\"\n key = file(\"a.pub\")\n}", `invalid image pattern`},
		{"an identity without a root", "bake {\n image = \"**\"\n identity {\n  issuer = \"https://i.example.com\"\n  subject = \"x\"\n }\n}", `trust.hcl: principal 1: `},
		{"an identity of anybody", "bake {\n image = \"**\"\n identity {\n  issuer = \"https://i.example.com\"\n }\n}", `trust.hcl:1: bake: identity: subject or subject_regexp required`},
		{"an identity of any issuer", "bake {\n image = \"**\"\n identity {\n  subject = \"x\"\n }\n}", `trust.hcl:1: bake: identity: issuer required`},
		{"a bad regexp", "bake {\n image = \"**\"\n identity {\n  issuer = \"i\"\n subject_regexp = \"(\"\n }\n}", `subject_regexp`},
		{"a root that is none", `trusted_root = "{"` + "\n" + good, `trust.hcl:1: trusted_root: no JSON`},
		{"dates that leave no time", "bake {\n image = \"**\"\n key = file(\"a.pub\")\n not_before = \"2026-03-02\"\n not_after = \"2026-03-01\"\n}", `leave no time`},
		{"no date", "bake {\n image = \"**\"\n key = file(\"a.pub\")\n not_after = \"soon\"\n}", `trust.hcl:4: bake: not_after: "soon" is no time: write 2026-12-31`},
		{"no age", `max_age = "0s"` + "\n" + good, `trust.hcl:1: max_age: want a time span above zero`},
		{"a predicate type", "bake {\n image = \"**\"\n key = file(\"a.pub\")\n require = [\"provenence\"]\n}", `trust.hcl:4: bake: require: unknown predicate type "provenence": write a URI or one of cyclonedx, openvex, provenance, slsaprovenance1, spdx, spdxjson, test, test-result, vsa, vuln (did you mean "provenance"?)`},
		{"a signature is no attestation", "bake {\n image = \"**\"\n key = file(\"a.pub\")\n require = [\"" + sign.SignaturePredicate + "\"]\n}", `never that of an attestation`},
		{"a statement is no attestation", "bake {\n image = \"**\"\n key = file(\"a.pub\")\n require = [\"urn:kiln:channel:v1\"]\n}", `never that of an attestation`},
		{"an operator", `store_id = "a" == "a" ? "x" : "y"`, `trust.hcl:1: "==": only texts, lists and file("…") are read here`},
		{"a loop", `store_id = [for x in ["a"]: x]`, `trust.hcl:1: ":": only texts`},
		{"a template", `store_id = "${"x"}"`, `trust.hcl:1: "${": only texts`},
		{"a reference", good + `store_id = acme`, `trust.hcl:5: store_id: Variables not allowed`},
		{"another function", `store_id = env("HOME")`, `trust.hcl:1: store_id: Call to unknown function`},
		{"deep", `store_id = ` + strings.Repeat("[", 50), `brackets nest more than 20 deep`},
		{"syntax", "bake {", `trust.hcl:1: Unclosed configuration block`},
		{"twice", "store_id = \"a\"\nstore_id = \"b\"", `trust.hcl:2: Attribute redefined`},
		{"huge", strings.Repeat("#", maxFile+1), `at most 524288 are read`},
	} {
		f, err := Parse("trust.hcl", []byte(c.src), files(t))
		if promotion.KindOf(err) != promotion.KindInvalid || f != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// What a store trusts, written for a deployer, says the same.
func TestFormat(t *testing.T) {
	f, err := Parse("trust.hcl", []byte(whole), files(t))
	if err != nil {
		t.Fatal(err)
	}
	who := &sign.Identity{Issuer: "https://i.example.com", SubjectRegexp: `https://ci\.example\.com/${x}/"quoted".*`}
	e := promotion.TrustEntry{Role: promotion.RoleApprove, Identity: who, Image: "acme/*", AddedBy: "a\nbake {}"}
	if e.KeyID, err = e.Principal().ID(); err != nil {
		t.Fatal(err)
	}
	text, err := Format(promotion.Trust{Entries: append(f.Trust.Entries, e)}, `st"ore`)
	if err != nil {
		t.Fatal(err)
	}
	ps := &hclfile.Problems{File: "trust.hcl"}
	b, _ := parse(ps, text, functions(nil))
	again := b.file()
	again.Trust.Root = nil
	if err := refused(ps); err != nil && !strings.Contains(err.Error(), "principal 6") {
		t.Fatalf("%v\n%s", err, text)
	}
	if again.StoreID != `st"ore` || len(again.Trust.Entries) != len(f.Trust.Entries)+1 {
		t.Fatalf("%+v\n%s", again, text)
	}
	for i, want := range append(f.Trust.Entries, e) {
		found := false
		for _, got := range again.Trust.Entries {
			got.Key, want.Key, want.AddedBy = strings.TrimSpace(got.Key), strings.TrimSpace(want.Key), ""
			found = found || reflect.DeepEqual(got, want)
		}
		if !found {
			t.Errorf("entry %d %+v is lost\n%s", i, want, text)
		}
	}
	if _, err := Format(promotion.Trust{Entries: []promotion.TrustEntry{{}}}, ""); err == nil {
		t.Error("an entry that trusts nobody was written")
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	keys, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "trust.hcl")
	for name, content := range map[string]string{"keys/a.pub": keys[0], "trust.hcl": `bake {
 image = "**"
 key = file("keys/a.pub")
}`} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f, err := Load(path); err != nil || len(f.Trust.Entries) != 1 {
		t.Errorf("%+v: %v", f, err)
	}
	if _, err := Load(path + "x"); err == nil || !strings.Contains(err.Error(), "trust file: ") {
		t.Errorf("error %v", err)
	}
}

package policy

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// everything are facts in which every field and list has something.
func everything(t *testing.T) Facts {
	t.Helper()
	var f Facts
	fill(reflect.ValueOf(&f).Elem())
	return f
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("<é&>")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(7)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Date(2026, 3, 1, 13, 0, 0, 500, time.FixedZone("x", 3600))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	}
}

// What Canonical writes is what a generic encoder with sorted keys writes, and
// no list is null.
func TestCanonicalIsSorted(t *testing.T) {
	for name, f := range map[string]Facts{"full": everything(t), "empty": {}, "gaps": {
		Approvals:  []Approval{{}},
		Ancestry:   Ancestry{Ancestors: []Ancestor{{}}},
		SBOM:       SBOM{Packages: []Package{{Name: "p"}}},
		Signatures: []Signature{{}},
	}} {
		text, err := f.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		enc := json.NewEncoder(&again)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(doc); err != nil {
			t.Fatal(err)
		}
		if want := bytes.TrimSpace(again.Bytes()); !bytes.Equal(text, want) {
			t.Errorf("%s: canonical facts are\n%s\nwant the order of\n%s", name, text, want)
		}
		for _, list := range []string{"packages", "licenses", "findings", "ancestors", "approvals", "steps", "dependencies", "formats", "evidence", "baked_by", "been_in", "ports"} {
			if bytes.Contains(text, []byte(`"`+list+`":null`)) {
				t.Errorf("%s: %s is null", name, list)
			}
		}
		if back, err := ParseFacts(text); err != nil || !reflect.DeepEqual(back, f.normal()) {
			t.Errorf("%s: read back as %+v (%v)", name, back, err)
		}
	}
}

// A text from before there were these facts is read, and replayed under its own
// digest.
func TestOldFacts(t *testing.T) {
	old := []byte(`{"action":"promote","been_in":[],"channel":"dev","channels":["dev"],"digest":"` + theDigest + `","image":"acme/shop","now":"2026-03-01T12:00:00Z","provenance":{"builder":"","commit":"","image":"acme/shop","present":true,"subject":"` + theDigest + `","trusted":true},"revoked":false,"sbom":{"format":"f","present":true,"trusted":true},"scan":{"allowed":0,"capabilities":[],"passed":true,"ports":[],"present":true,"root":false,"rules":"","setgid":[],"setuid":[],"trusted":true,"world_writable":[]},"signatures":[{"key_id":"k","trusted":true}],"tests":[],"tier":"base"}`)
	f, err := ParseFacts(old)
	if err != nil || f.SBOM.Format != "f" || f.Ancestry.Known {
		t.Fatalf("read as %+v (%v)", f, err)
	}
	p, err := Load(map[string][]byte{"p.rego": []byte("package kiln\nallow if not input.ancestry\nallow if input.vulnerabilities == 1")})
	if err != nil {
		t.Fatal(err)
	}
	d, err := p.EvaluateText(t.Context(), old)
	if err != nil || !d.Allow {
		t.Errorf("the policy saw facts that the text has not: %+v (%v)", d, err)
	}
	if now, _ := FactsDigest(f); d.Facts == string(now) || d.Facts == "" {
		t.Errorf("digest of the facts is %q, not the text's own", d.Facts)
	}
}

package trustfile

import (
	"testing"

	"kiln/registry/promotion"
)

// FuzzTrustFile: a file that is read names for every rule who it is that may,
// and lets nothing pass that it has no rule for; written again it says the
// same.
func FuzzTrustFile(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("bake {\n image = \"**\"\n key = file(\"a.pub\")\n}\n"))
	f.Add([]byte("third_party \"registry.example.com/**\" {\n key = file(\"b.pub\")\n}\n"))
	f.Add([]byte("promote {\n image = \"acme/{a,b}\"\n channels = [\"[dp]*\"]\n keys = [file(\"a.pub\")]\n not_after = \"2026-03-01T00:00:00.5+01:00\"\n}\n"))
	f.Add([]byte("approve {\n identity {\n issuer = \"https://i.example.com\"\n subject_regexp = \".*\"\n }\n}\n"))
	f.Add([]byte("trusted_root = <<EOT\n{}\nEOT\n"))
	f.Add([]byte("bake { image = \"a\" key = <<-EOT\n  x\n  EOT\n }"))
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Parse("trust.hcl", src, files(t))
		if err != nil {
			if file != nil || promotion.KindOf(err) != promotion.KindInvalid {
				t.Fatalf("%q: %v", src, err)
			}
			return
		}
		for _, e := range file.Trust.Entries {
			if err := e.Check(); err != nil {
				t.Fatalf("%q: %v", src, err)
			}
		}
		for _, third := range file.third {
			if len(third.principals) == 0 {
				t.Fatalf("%q lets everybody pass as %s", src, third.pattern)
			}
		}
		if r, err := file.Rule("", ""); err == nil {
			t.Fatalf("%q has the rule %+v for no image", src, r)
		}
		text, err := Format(file.Trust, file.StoreID)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		again, err := Parse("trust.hcl", text, nil)
		if len(file.third) > 0 { // they are not of a store
			return
		}
		if err != nil || len(again.Trust.Entries) != len(file.Trust.Entries) || again.StoreID != file.StoreID {
			t.Fatalf("%q became %q: %v", src, text, err)
		}
	})
}

package template

import (
	"strings"
	"testing"
)

func TestFetchErrors(t *testing.T) {
	sum := strings.Repeat("a", 64)
	fetch := func(lines ...string) string { return app("fetch {\n" + strings.Join(lines, "\n") + "\n}") }
	good, target := `sha256 = "`+sum+`"`, `target = "/f"`
	for name, c := range map[string]struct{ text, want string }{
		"no hash":      {fetch(`url = "https://example.com/f?a=b"`, target), `kiln.hcl:7: image "shop": fetch: sha256 is missing (see what it is now with: curl -fsSL 'https://example.com/f?a=b' | sha256sum)`},
		"bad hash":     {fetch(`url = "https://example.com/f"`, target, `sha256 = "abc"`), `kiln.hcl:10: image "shop": fetch: sha256 "abc" is no hash (want 64 lower-case hex digits)`},
		"no url":       {fetch(target, good), `kiln.hcl:7: image "shop": fetch: url is missing`},
		"file":         {fetch(`url = "file:///etc/passwd"`, target, good), `kiln.hcl:8: image "shop": fetch: url is no address to fetch from (want http://… or https://…)`},
		"no host":      {fetch(`url = "https:///f"`, target, good), `kiln.hcl:8: image "shop": fetch: url is no address to fetch from (want http://… or https://…)`},
		"credentials":  {fetch(`url = "https://me:hunter2@example.com/f"`, target, good), `kiln.hcl:8: image "shop": fetch: url holds credentials (everybody who reads the template or the image's provenance would have them)`},
		"token":        {fetch(`url = "https://example.com/f?X-Amz-Signature=hunter2"`, target, good), `kiln.hcl:8: image "shop": fetch: url: the parameter "X-Amz-Signature" reads like a secret (everybody who reads the template or the image's provenance would have it)`},
		"relative":     {fetch(`url = "https://example.com/f"`, `target = "f"`, good), `kiln.hcl:9: image "shop": fetch: target "f" is not absolute (begin it with "/" and leave out "..")`},
		"no name":      {fetch(`url = "https://example.com/"`, `target = "/usr/"`, good), `kiln.hcl:9: image "shop": fetch: target "/usr/" is a folder, and the url ends in no name (name the file, as in /usr/local/bin/tool)`},
		"strip":        {fetch(`url = "https://example.com/f"`, target, good, "extract { strip = -1 }"), `kiln.hcl:11: image "shop": fetch: extract: strip: want a whole number from 0 to 64`},
		"extract bool": {fetch(`url = "https://example.com/f"`, target, good, "extract = true"), `kiln.hcl:11: image "shop": fetch: unknown attribute "extract" (extract is a block: write extract { without =)`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.text, Options{}, c.want) })
	}
}

// A sensitive value may not stand in an address (FAULTS 30), and no message
// holds it.
func TestFetchSecret(t *testing.T) {
	text := "variable \"token\" {\n  sensitive = true\n}\n" + app("fetch {\nurl = \"https://example.com/${var.token}\"\ntarget = \"/f\"\nsha256 = \""+strings.Repeat("a", 64)+"\"\n}")
	refuse(t, text, Options{Vars: map[string]string{"token": "hunter2"}},
		`kiln.hcl:11: image "shop": fetch: url: a sensitive value would be readable here (a sensitive value may only stand in the env of a run)`)
}

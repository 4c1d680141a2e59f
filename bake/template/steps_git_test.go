package template

import (
	"strings"
	"testing"
)

func TestGitErrors(t *testing.T) {
	git := func(lines ...string) string { return app("git {\n" + strings.Join(lines, "\n") + "\n}") }
	ref, target := `ref = "v1"`, `target = "/src"`
	for name, c := range map[string]struct{ text, want string }{
		"no ref":      {git(`url = "https://example.com/x.git"`, target), `kiln.hcl:7: image "shop": git: ref is missing`},
		"option":      {git(`url = "https://example.com/x.git"`, target, `ref = "--upload-pack=x"`), `kiln.hcl:10: image "shop": git: ref "--upload-pack=x" is none that git could have (want a branch, a tag or a commit)`},
		"credentials": {git(`url = "https://me:hunter2@example.com/x.git"`, target, ref), `kiln.hcl:8: image "shop": git: url holds credentials (everybody who reads the template or the image's provenance would have them)`},
		"ssh":         {git(`url = "ssh://git@example.com/x.git"`, target, ref), `kiln.hcl:8: image "shop": git: url is no repository that everybody can read (keys of a user are no input that another machine has: use https://…, file:///… or an absolute path)`},
		"scp":         {git(`url = "git@example.com:x.git"`, target, ref), `kiln.hcl:8: image "shop": git: url is no repository that everybody can read (keys of a user are no input that another machine has: use https://…, file:///… or an absolute path)`},
		"ext":         {git(`url = "ext::sh -c touch% /tmp/x"`, target, ref), `kiln.hcl:8: image "shop": git: url is no address of a repository (want https://…, file:///… or an absolute path)`},
		"subdir":      {git(`url = "https://example.com/x.git"`, target, ref, `subdir = "../x"`), `kiln.hcl:11: image "shop": git: subdir "../x" is outside the repository`},
		"exclude":     {git(`url = "https://example.com/x.git"`, target, ref, `exclude = ["[a"]`), `kiln.hcl:11: image "shop": git: exclude: "[a" is no pattern`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.text, Options{}, c.want) })
	}
}

package template

import (
	"strings"
	"testing"
)

func TestGoErrors(t *testing.T) {
	step := func(lines ...string) string { return app("go {\n" + strings.Join(lines, "\n") + "\n}") }
	const noModule = `kiln.hcl:7: image "shop": go: "go.mod" does not exist (name the folder of the module)`
	pkg, target := `package = "."`, `target = "/app"`
	for name, c := range map[string]struct{ text, want string }{
		"no module": {step(pkg, target), noModule},
		"no folder": {step(pkg, target, `dir = "src"`), `kiln.hcl:10: image "shop": go: "src/go.mod" does not exist (name the folder of the module)`},
		"outside":   {step(pkg, target, `dir = "../src"`), `kiln.hcl:10: image "shop": go: dir "../src" is outside the template's folder`},
		"package":   {step(`package = "./../x"`, target), noModule + "\n" + `kiln.hcl:8: image "shop": go: package "./../x" is no folder of the module (write "." or "./cmd/name")`},
		"option":    {step(`package = "-toolexec=x"`, target), noModule + "\n" + `kiln.hcl:8: image "shop": go: package "-toolexec=x" is no folder of the module (write "." or "./cmd/name")`},
		"tag":       {step(pkg, target, `tags = ["a,b"]`), noModule + "\n" + `kiln.hcl:10: image "shop": go: tags: "a,b" is no build tag`},
		"env":       {step(pkg, target, `env = { GOFLAGS = "-toolexec=x" }`), noModule + "\n" + `kiln.hcl:10: image "shop": go: env: GOFLAGS does not choose how Go compiles (want one like GOAMD64 or GOEXPERIMENT)`},
		"cgo":       {step(pkg, target, `cgo = true`), noModule + "\n" + `kiln.hcl:10: image "shop": go: cgo needs a C compiler, which is no pinned input (build it with a run step in an image that has the compiler and libraries)`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.text, Options{}, c.want) })
	}
}

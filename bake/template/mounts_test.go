package template

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FAULTS 30: a secret comes from outside of what is shipped, or not at all.
func TestMountErrors(t *testing.T) {
	run := func(lines ...string) string {
		return app("run {\ncommand = [\"true\"]\n" + strings.Join(lines, "\n") + "\n}")
	}
	const where = `image "shop": run: `
	for name, c := range map[string]struct{ text, want string }{
		"nowhere":          {run(`secret "a" {}`), `kiln.hcl:9: ` + where + `secret "a": say once where the secret comes from (write env = "NAME", file = "/path" or value = var.…)`},
		"two places":       {run("secret \"a\" {\nenv = \"A\"\nfile = \"/a\"\n}"), `kiln.hcl:9: ` + where + `secret "a": say once where the secret comes from (write env = "NAME", file = "/path" or value = var.…)`},
		"no name":          {run("secret {\nenv = \"A\"\n}"), `kiln.hcl:9: ` + where + `secret has 0 labels, want 1 (write secret "name" {)`},
		"path as name":     {run("secret \"a/b\" {\nenv = \"A\"\n}"), `kiln.hcl:9: ` + where + `secret "a/b": the secret has no name (use letters, digits and _ . -)`},
		"not sensitive":    {run("secret \"a\" {\nvalue = \"hunter2\"\n}"), `kiln.hcl:10: ` + where + `secret "a": value is not sensitive: it would be in the template or the provenance (declare the variable with sensitive = true)`},
		"relative file":    {run("secret \"a\" {\nfile = \"token\"\n}"), `kiln.hcl:10: ` + where + `secret "a": file "token" is not absolute (write "/path" or "~/path")`},
		"relative target":  {run("secret \"a\" {\nenv = \"A\"\ntarget = \"x\"\n}"), `kiln.hcl:11: ` + where + `secret "a": target "x" is not absolute (begin it with "/" and leave out "..")`},
		"over the root":    {run("tmpfs {\ntarget = \"/\"\n}"), `kiln.hcl:10: ` + where + `tmpfs: target / cannot be mounted over`},
		"twice":            {run("tmpfs {\ntarget = \"/a\"\n}\ncache {\ntarget = \"/a\"\n}"), `kiln.hcl:7: ` + where + `two mounts at "/a"`},
		"bind of nothing":  {run("bind {\nsource = \"dist\"\ntarget = \"/a\"\n}"), `kiln.hcl:10: ` + where + `bind: copy source "dist" does not exist (run your build first?)`},
		"bind outside":     {run("bind {\nsource = \"../x\"\ntarget = \"/a\"\n}"), `kiln.hcl:10: ` + where + `bind: copy source "../x" is outside the template's folder (copy takes files of the folder of kiln.hcl only)`},
		"bind of itself":   {run("bind {\nfrom = image.shop\nsource = \"/x\"\ntarget = \"/a\"\n}"), `kiln.hcl:7: image "shop": from is the image itself`},
		"bind of no image": {run("bind {\nfrom = image.shp\nsource = \"/x\"\ntarget = \"/a\"\n}"), `kiln.hcl:10: ` + where + `bind: there is no image.shp (did you mean "shop"?)`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.text, Options{}, c.want) })
	}
}

func TestMounts(t *testing.T) {
	text := "variable \"token\" {\n  sensitive = true\n}\n" + app(`run {
  command = ["true"]
  secret "npm" {
    value    = var.token
    variable = "NPM_TOKEN"
  }
  secret "rc" {
    file     = "~/.npmrc"
    target   = "/root/.npmrc"
    mode     = "0440"
    owner    = "5:6"
    optional = true
  }
  cache { target = "/c" }
  bind {
    source = "app"
    target = "/src"
  }
  bind {
    from   = image.base
    source = "/usr"
    target = "/usr2"
  }
}`)
	r := load(t, text, Options{Vars: map[string]string{"token": "hunter2"}})
	run := r.Images[1].Steps[0].(*Run)
	mode := uint32(0o440)
	want := []Mount{
		{Type: MountSecret, ID: "npm", Target: "/run/secrets/npm", Env: "NPM_TOKEN", Secret: Secret{Value: "hunter2"}},
		{Type: MountSecret, ID: "rc", Target: "/root/.npmrc", Mode: &mode, UID: 5, GID: 6, Optional: true, Secret: Secret{File: "~/.npmrc"}},
		{Type: MountCache, ID: "/c", Target: "/c"},
		{Type: MountBind, Target: "/src", Source: "app", Root: r.Dir},
		{Type: MountBind, Target: "/usr2", Source: "/usr", From: &From{Kind: FromImage, Image: r.Images[0]}},
	}
	for i, m := range run.Mounts {
		if i >= len(want) || !reflect.DeepEqual(m, want[i]) {
			t.Errorf("mount %d: %+v", i, m)
		}
	}
	if names := namesOf(r.Images[1].Needs()); names != "base" {
		t.Errorf("needs %s", names)
	}
	files, err := r.ReadFiles()
	if err != nil || strings.Join(files, " ") != "app/lib.js app/main.js kiln.hcl" {
		t.Errorf("reads %v, %v", files, err)
	}
}

// FAULTS 30: a secret in the template's folder would end up in images.
func TestSecretFileInFolder(t *testing.T) {
	dir := tree(t, map[string]string{FileName: "", "token": "hunter2"})
	text := "project = \"acme\"\nimage \"a\" {\n  run {\n    command = [\"true\"]\n    secret \"t\" { file = \"" + dir + "/token\" }\n  }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, Options{}); err == nil || !strings.Contains(err.Error(), "is in the template's folder") {
		t.Errorf("got %v", err)
	}
}

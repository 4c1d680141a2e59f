package bake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"kiln/bake/template"
	"kiln/layers"
)

// base is a small system to declare things on.
const declaredBase = `
project = "acme"
image "base" {
  tier = "base"
  file {
    path    = "/etc/passwd"
    content = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
  }
  file {
    path    = "/etc/group"
    content = "root:x:0:\ndaemon:x:1:\nshadow:x:42:\ndocker:x:999:alice\n"
  }
  file {
    path    = "/etc/shadow"
    content = "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n"
    mode    = "0640"
    owner   = "0:42"
  }
  file {
    path    = "/usr/bin/su"
    content = "su"
    mode    = "4755"
  }
  file {
    path    = "/usr/bin/bash"
    content = "bash"
    mode    = "0755"
  }
  file {
    path    = "/usr/bin/apt-get"
    content = "apt"
    mode    = "0755"
  }
  file {
    path    = "/usr/bin/busybox"
    content = "busybox"
    mode    = "0755"
  }
  file {
    path    = "/etc/apt/sources.list"
    content = "deb"
  }
  file {
    path    = "/var/lib/dpkg/status"
    content = "Package: bash"
  }
  symlink {
    path = "/bin"
    to   = "usr/bin"
  }
  symlink {
    path = "/usr/bin/sh"
    to   = "bash"
  }
  symlink {
    path = "/usr/bin/ls"
    to   = "/bin/busybox"
  }
  file {
    path    = "/srv/app/run.sh"
    content = "#!/bin/sh"
  }
}
`

// built bakes all images of a template and returns the index of the last.
func built(t *testing.T, k *baking) (*Image, *layers.Index) {
	t.Helper()
	var last *Image
	for _, recipe := range k.recipe.Images {
		img, err := k.Build(context.Background(), recipe)
		if err != nil {
			t.Fatal(err)
		}
		last = img
	}
	ix, err := k.imageIndex(context.Background(), last.Image)
	if err != nil {
		t.Fatal(err)
	}
	return last, ix
}

func (k *baking) text(t *testing.T, img *Image, name string) string {
	t.Helper()
	items, err := k.filesOf(context.Background(), img.Image, name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := items[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDeclare(t *testing.T) {
	k := newBaking(t, declaredBase+`
image "app" {
  from = image.base
  user "app" {
    uid    = 10001
    home   = "/home/app"
    groups = ["docker"]
  }
  group "web" {
    gid     = 2000
    members = ["app", "daemon"]
  }
  dir {
    path  = "/var/lib/app"
    owner = "10001:10001"
    mode  = "0700"
  }
  permissions {
    path      = "/srv"
    recursive = true
    mode      = "0640"
    owner     = "0:2000"
  }
  permissions {
    path = "/bin/apt-get"
    mode = "0700"
  }
  systemd "app.service" {
    content = "[Service]\nExecStart=/srv/app/run.sh\n[Install]\nWantedBy=multi-user.target\n"
  }
  sysctl {
    settings = { "net.core.somaxconn" = 1024, "fs.file-max" = "9" }
  }
}
`, 1)
	img, ix := built(t, k)
	for file, want := range map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\napp:x:10001:10001::/home/app:/usr/sbin/nologin\n",
		"/etc/group":  "root:x:0:\ndaemon:x:1:\nshadow:x:42:\ndocker:x:999:alice,app\nweb:x:2000:app,daemon\napp:x:10001:\n",
		"/etc/shadow": "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\napp:!:::::::\n",

		"/etc/sysctl.d/60-kiln.conf": "fs.file-max = 9\nnet.core.somaxconn = 1024\n",
	} {
		if got := k.text(t, img, file); got != want {
			t.Errorf("%s is\n%swant\n%s", file, got, want)
		}
	}
	for file, want := range map[string]string{
		"etc/passwd": "644 0:0", "etc/shadow": "640 0:42", "home/app": "750 10001:10001", "var/lib/app": "700 10001:10001",
		"var/lib": "755 0:0", "srv": "750 0:2000", "srv/app": "750 0:2000", "srv/app/run.sh": "640 0:2000", "usr/bin/apt-get": "700 0:0",
		"etc/systemd/system/multi-user.target.wants/app.service": "777 0:0",
	} {
		n, ok := ix.Node(file)
		if got := fmt.Sprintf("%o %d:%d", n.Mode, n.UID, n.GID); !ok || got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
	if _, ok := ix.Node("etc/gshadow"); ok {
		t.Error("a gshadow was made where there is none")
	}
	if len(img.Steps) != 1 || img.Steps[0].Step != "declare group web, user app, dir /var/lib/app and 5 more" {
		t.Errorf("steps %+v", img.Steps)
	}
}

// The same declarations in another cache give the same layer; on other accounts
// below they give another.
func TestDeclareReproduces(t *testing.T) {
	app := "image \"app\" {\n  from = image.base\n  user \"app\" { uid = 7 }\n}\n"
	one, _ := built(t, newBaking(t, declaredBase+app, 1))
	two, _ := built(t, newBaking(t, declaredBase+app, 1))
	if one.Digest != two.Digest {
		t.Error("two bakes differ")
	}
	other, _ := built(t, newBaking(t, strings.Replace(declaredBase, "daemon:x:1:\\n", "daemon:x:1:root\\n", 1)+app, 1))
	if one.Steps[0].Digest == other.Steps[0].Digest {
		t.Error("another /etc/group below gives the same layer")
	}
}

func TestDeclareOnNothing(t *testing.T) {
	k := newBaking(t, "project = \"acme\"\nimage \"app\" {\n  user \"app\" { uid = 7 }\n}\n", 1)
	img, ix := built(t, k)
	if got := k.text(t, img, "/etc/passwd"); got != "root:x:0:0:root:/root:/usr/sbin/nologin\napp:x:7:7::/nonexistent:/usr/sbin/nologin\n" {
		t.Errorf("passwd is %q", got)
	}
	if _, ok := ix.Node("etc/shadow"); ok {
		t.Error("a shadow was made")
	}
}

func TestDeclareErrors(t *testing.T) {
	for name, c := range map[string]struct{ blocks, want string }{
		"uid taken":       {`user "app" { uid = 1 }`, `uid 1 is that of user "daemon" (choose another uid for "app")`},
		"name taken":      {`user "daemon" { uid = 7 }`, `user "daemon" is there with uid 1 and gid 1, not 7 and 7 (say uid = 1 and gid = 1, or choose another name)`},
		"gid taken":       {`group "app" { gid = 999 }`, `gid 999 is that of group "docker" (choose another gid for "app")`},
		"group taken":     {`group "docker" { gid = 7 }`, `group "docker" is there with gid 999, not 7 (say gid = 999, or choose another name)`},
		"group of user":   {`user "docker" { uid = 7 }`, `group "docker" is there with gid 999, not 7`},
		"no such group":   {"user \"app\" {\n  uid = 7\n  groups = [\"audio\"]\n}", `user "app" is to be in group "audio", which is not there (declare group "audio" { gid = … })`},
		"no such member":  {"group \"app\" {\n  gid = 7\n  members = [\"bob\"]\n}", `group "app" is to have user "bob", who is not there (declare user "bob" { uid = … })`},
		"no such path":    {"permissions {\n  path = \"/opt/x\"\n  mode = \"0600\"\n}", "permissions of /opt/x: the image has no such path"},
		"passwd declared": {"user \"app\" { uid = 7 }\n  file {\n    path = \"/etc/passwd\"\n    content = \"\"\n  }", "/etc/passwd is declared beside users or groups"},
	} {
		k := newBaking(t, declaredBase+"image \"app\" {\n  from = image.base\n  "+c.blocks+"\n}\n", 1)
		_, err := k.Build(t.Context(), k.recipe.Images[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err = k.Build(t.Context(), k.recipe.Images[1]); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// A user who is there already, as declared, only gets what else is said.
func TestAccountsAgain(t *testing.T) {
	below := map[string][]byte{
		"/etc/passwd": []byte("root:x:0:0::/:/bin/sh\napp:x:7:7::/:/bin/sh"),
		"/etc/group":  []byte("root:x:0:\napp:x:7:\n"), "/etc/gshadow": []byte("root:*::\napp:!::\n"),
	}
	user := template.User{Name: "app", UID: 7, GID: 7, Home: "/srv", Shell: "/bin/false", Comment: "the app", Groups: []string{"root"}}
	for range 2 {
		changed, err := addAccounts(below, []template.User{user}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for file, text := range changed {
			below[file] = text
		}
	}
	if got := string(below["/etc/passwd"]); got != "root:x:0:0::/:/bin/sh\napp:x:7:7:the app:/srv:/bin/false\n" {
		t.Errorf("passwd is %q", got)
	}
	if got := string(below["/etc/group"]) + string(below["/etc/gshadow"]); got != "root:x:0:app\napp:x:7:\nroot:*::app\napp:!::\n" {
		t.Errorf("group and gshadow are %q", got)
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/sh\n"), []byte("root:x:0:\n"), []byte("root:*:1::::::"))
	f.Add([]byte(":::\n\n:"), []byte("a\nb:c"), []byte{0})
	f.Fuzz(func(t *testing.T, passwd, group, shadow []byte) {
		below := map[string][]byte{passwdFile: passwd, groupFile: group, shadowFile: shadow}
		users := []template.User{{Name: "app", UID: 4711, GID: 4711, Home: "/", Shell: "/x", Groups: []string{"web"}}}
		changed, err := addAccounts(below, users, []template.Group{{Name: "web", GID: 4712, Members: []string{"app"}}})
		if err != nil {
			return
		}
		for file, text := range changed {
			below[file] = text
		}
		again, err := addAccounts(below, users, []template.Group{{Name: "web", GID: 4712, Members: []string{"app"}}})
		if err != nil || len(again) != 0 {
			t.Errorf("a second time: %q, %v", again, err)
		}
	})
}

func TestHarden(t *testing.T) {
	k := newBaking(t, declaredBase+`
image "app" {
  from = image.base
  hardening {
    no_setuid          = true
    no_shell           = true
    no_package_manager = true
  }
}
`, 1)
	img, ix := built(t, k)
	for _, gone := range []string{"usr/bin/bash", "usr/bin/sh", "usr/bin/busybox", "usr/bin/ls", "usr/bin/apt-get", "etc/apt", "etc/apt/sources.list"} {
		if _, ok := ix.Node(gone); ok {
			t.Errorf("%s is there", gone)
		}
	}
	if su, ok := ix.Node("usr/bin/su"); !ok || su.Mode != 0o755 || k.text(t, img, "/usr/bin/su") != "su" {
		t.Errorf("su is %+v", su)
	}
	for _, kept := range []string{"var/lib/dpkg/status", "srv/app/run.sh", "etc/passwd"} {
		if _, ok := ix.Node(kept); !ok {
			t.Errorf("%s is gone", kept)
		}
	}
	manifest, err := img.Image.Manifest()
	if err != nil || manifest.Annotations[HardeningAnnotation] != "no_package_manager,no_setuid,no_shell" {
		t.Errorf("annotations %v, %v", manifest.Annotations, err)
	}
	if !slices.ContainsFunc(img.Steps, func(s StepResult) bool { return s.Step == "harden no_package_manager no_setuid no_shell" && s.field }) {
		t.Errorf("steps %+v", img.Steps)
	}
}

// Nothing that did not run may count as passed.
func TestForeignPlatformRunsNothing(t *testing.T) {
	for name, text := range map[string]string{
		"run":  "image \"a\" {\n  platforms = [\"linux/s390x\"]\n  file {\n    path = \"/x\"\n    content = \"\"\n  }\n  run { command = [\"/x\"] }\n}\n",
		"test": "image \"a\" {\n  platforms = [\"linux/s390x\"]\n  file {\n    path = \"/x\"\n    content = \"\"\n  }\n  test \"t\" { command = [\"/x\"] }\n}\n",
	} {
		k := newBaking(t, "project = \"acme\"\n"+text, 1)
		k.Runs = func(arch string) error { return fmt.Errorf("%s: no emulator", arch) }
		s := &stage{}
		_, err := k.bake(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), `platform "linux/s390x": s390x: no emulator`) || len(s.published) > 0 {
			t.Errorf("%s: %v, published %q", name, err, s.published)
		}
	}
}

// A step of accounts is made again from its record, with the same outcome.
func TestDeclareFromRecord(t *testing.T) {
	text := declaredBase + `
image "app" {
  from = image.base
  user "app" {
    uid    = 7
    groups = ["docker"]
  }
  permissions {
    path = "/usr/bin/su"
    mode = "0755"
  }
}
`
	img, _ := built(t, newBaking(t, text, 1))
	k := newBaking(t, text, 1)
	step, err := k.recordStep(t.Context(), img.Steps[0], &recorded{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(step)
	if err != nil {
		t.Fatal(err)
	}
	var again RecordStep
	if err := json.Unmarshal(data, &again); err != nil {
		t.Fatal(err)
	}
	remade, err := (&StoredRecord{}).remakeStep(again, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.recipe.Images[1].Steps = []template.Step{remade}
	if made, _ := built(t, k); made.Digest != img.Digest {
		t.Errorf("made again it is %s, was %s", made.Digest, img.Digest)
	}
}

package template

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func host() string { return "linux/" + runtime.GOARCH }

// The sample of the design, in full.
func TestShop(t *testing.T) {
	r, err := Load("../../testdata/shop", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Project != "acme" || len(r.Images) != 3 {
		t.Fatalf("got %q with %d images", r.Project, len(r.Images))
	}
	base, middle, shop := r.Images[0], r.Images[1], r.Images[2]
	wantBase := &Image{
		Name: "base", FullName: "acme/base", Tier: TierBase, Platforms: []string{host()}, Pos: Pos{FileName, 7}, Scan: Scan{Secrets: SecretsDeny},
		Debian: &Debian{Suite: "bookworm", Variant: VariantMinbase, Packages: []string{"ca-certificates", "tzdata"}},
	}
	wantMiddle := &Image{
		Name: "runtime", FullName: "acme/runtime", Tier: TierMiddleware, Platforms: []string{host()}, Pos: Pos{FileName, 16}, Scan: Scan{Secrets: SecretsDeny},
		From: From{Kind: FromImage, Image: base}, Packages: []string{"nodejs"},
	}
	wantShop := &Image{
		Name: "shop", FullName: "acme/shop", Tier: TierApp, Version: "1.4.0", Platforms: []string{host()}, Pos: Pos{FileName, 22}, Scan: Scan{Secrets: SecretsDeny},
		From: From{Kind: FromImage, Image: middle},
		Steps: []Step{
			&Copy{
				Root: r.Dir, Rel: "app", Source: r.Dir + "/app", Target: "/srv/shop", UID: 10001, GID: 10001,
				Exclude: []string{"**/*.test.js"}, Pos: Pos{FileName, 26},
			},
			&Run{
				Command: []string{"node", "--check", "server.js"}, Workdir: "/srv/shop", Network: "none",
				Timeout: DefaultRunTimeout, Pos: Pos{FileName, 32},
			},
		},
		Config: Config{
			User: "10001", Workdir: "/srv/shop", Entrypoint: []string{"node", "server.js"},
			Env: map[string]string{"PORT": "8080"}, Ports: []string{"8080/tcp"},
		},
		Tests: []Test{
			{
				Name: "healthy", Timeout: DefaultTestTimeout, Pos: Pos{FileName, 44},
				HTTP: &HTTPTest{Port: 8080, Path: "/healthz", Status: 200, Within: 10 * time.Second},
			},
			{Name: "runtime", Command: []string{"node", "--version"}, Stdout: `^v18\.`, Timeout: DefaultTestTimeout, Pos: Pos{FileName, 52}},
		},
	}
	for i, want := range []*Image{wantBase, wantMiddle, wantShop} {
		if got := r.Images[i]; !reflect.DeepEqual(got, want) {
			t.Errorf("image %d:\ngot  %+v\nwant %+v", i, got, want)
		}
	}
	reads, err := r.ReadFiles()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{".kilnignore", "app/package.json", "app/price.js", "app/server.js", "kiln.hcl"}; !slices.Equal(reads, want) {
		t.Errorf("reads %q, want %q", reads, want)
	}
	if got := r.Leaves(); len(got) != 1 || got[0] != shop {
		t.Errorf("leaves are %v", got)
	}
}

func TestEverything(t *testing.T) {
	r := load(t, `
project = "acme"
image "all" {
  from        = "scratch"
  version     = 1.5
  annotations = { "com.example.team" = "shop" }
  debian {
    suite        = "bookworm"
    variant      = "essential"
    components   = ["main", "contrib"]
    mirror       = "https://deb.example.com/debian/"
    keyring      = "/usr/share/keyrings/example.gpg"
    sources_list = "deb https://deb.example.com/debian bookworm main\n"
    source {
      mirror  = "http://apt.example.com"
      suite   = "stable"
      keyring = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    }
  }
  packages = ["bb", "a1", "bb"]
  run {
    command = ["one"]
    env     = { A = "1" }
    network = "host"
    user    = "www-data:33"
    timeout = "90s"
  }
  copy {
    source = "app/main.js"
    target = "/srv/"
    owner  = "7"
    mode   = "4750"
    mtime  = 86400
  }
  run { command = ["two"] }
  config {
    cmd         = []
    labels      = { a = "b" }
    ports       = ["53/udp", 80]
    volumes     = ["/data/", "/a//b"]
    stop_signal = "SIGINT"
    healthcheck {
      command      = ["curl", "x"]
      interval     = "30s"
      timeout      = "2s"
      start_period = "1m"
      retries      = 3
    }
  }
  test "t" {
    command  = ["true"]
    stderr   = "x"
    exit     = 3
    user     = "0"
    env      = { B = "2" }
    writable = true
    timeout  = "5s"
  }
}
`, Options{})
	im := r.Images[0]
	if im.Version != "1.5" || im.Tier != TierBase || !slices.Equal(im.AllPackages(), []string{"a1", "bb"}) {
		t.Errorf("got %+v", im)
	}
	wantDebian := &Debian{
		Suite: "bookworm", Variant: "essential", Components: []string{"main", "contrib"},
		Mirror: "https://deb.example.com/debian/", Keyring: "/usr/share/keyrings/example.gpg",
		SourcesList: "deb https://deb.example.com/debian bookworm main\n",
		Sources:     []Source{{Mirror: "http://apt.example.com", Suite: "stable", Keyring: "-----BEGIN PGP PUBLIC KEY BLOCK-----\n"}},
	}
	if !reflect.DeepEqual(im.Debian, wantDebian) {
		t.Errorf("debian: got %+v", im.Debian)
	}
	if len(im.Steps) != 3 {
		t.Fatalf("%d steps", len(im.Steps))
	}
	run, copied, last := im.Steps[0].(*Run), im.Steps[1].(*Copy), im.Steps[2].(*Run)
	if run.User != "www-data:33" || run.Network != "host" || run.Timeout != 90*time.Second || run.Env["A"] != "1" || run.Workdir != "/" {
		t.Errorf("run: got %+v", run)
	}
	if copied.Target != "/srv/main.js" || copied.UID != 7 || copied.GID != 7 || *copied.Mode != 0o4750 || copied.ModTime.Unix() != 86400 {
		t.Errorf("copy: got %+v", copied)
	}
	if last.Command[0] != "two" {
		t.Errorf("the order of steps is lost: %+v", last)
	}
	wantConfig := Config{
		Cmd: []string{}, Labels: map[string]string{"a": "b"}, Ports: []string{"53/udp", "80/tcp"},
		Volumes: []string{"/a/b", "/data"}, StopSignal: "SIGINT",
		Healthcheck: &Healthcheck{
			Command: []string{"curl", "x"}, Interval: 30 * time.Second, Timeout: 2 * time.Second,
			StartPeriod: time.Minute, Retries: 3,
		},
	}
	if !reflect.DeepEqual(im.Config, wantConfig) {
		t.Errorf("config: got %+v", im.Config)
	}
	wantTest := Test{
		Name: "t", Command: []string{"true"}, Stderr: "x", Exit: 3, User: "0", Env: map[string]string{"B": "2"},
		WritableRoot: true, Timeout: 5 * time.Second, Pos: im.Tests[0].Pos,
	}
	if !reflect.DeepEqual(im.Tests, []Test{wantTest}) {
		t.Errorf("test: got %+v", im.Tests)
	}
}

func TestFrom(t *testing.T) {
	d := "sha256:" + strings.Repeat("0f", 32)
	for expr, want := range map[string]From{
		`"scratch"`:                                    {},
		`null`:                                         {},
		`"acme/base@` + d + `"`:                        {Kind: FromStore, Name: "acme/base", Digest: d},
		`"registry.example.com/a/b@` + d + `"`:         {Kind: FromRemote, Host: "registry.example.com", Name: "a/b", Digest: d},
		`"localhost/b@` + d + `"`:                      {Kind: FromRemote, Host: "localhost", Name: "b", Digest: d},
		`"127.0.0.1:5000/b:v1@` + d + `"`:              {Kind: FromRemote, Host: "127.0.0.1:5000", Name: "b", Digest: d},
		`channel("acme/base", "prod")`:                 {Kind: FromChannel, Name: "acme/base", Channel: "prod"},
		`true ? channel("acme/x", "dev") : null`:       {Kind: FromChannel, Name: "acme/x", Channel: "dev"},
		`"${"acme"}/base@` + d + `"`:                   {Kind: FromStore, Name: "acme/base", Digest: d},
		`try(channel("x y", "z"), "acme/z@` + d + `")`: {Kind: FromStore, Name: "acme/z", Digest: d},
	} {
		r := load(t, "project = \"acme\"\nimage \"a\" {\n from = "+expr+"\n}\n", Options{})
		if got := r.Images[0].From; got != want {
			t.Errorf("%s: got %+v, want %+v", expr, got, want)
		}
	}
}

func TestForEach(t *testing.T) {
	r := load(t, `
project = "acme"
locals { runtimes = { node = ["nodejs"], python = ["python3"] } }
image "app" {
  for_each = toset(keys(local.runtimes))
  from     = image.runtime[each.key]
  config { cmd = [each.value] }
}
image "runtime" {
  for_each = local.runtimes
  tier     = "middleware"
  from     = image.base
  packages = each.value
}
image "none" {
  for_each = {}
}
image "base" {
  debian { suite = "bookworm" }
}
`, Options{})
	var got []string
	for _, im := range r.Images {
		got = append(got, im.Name+"<-"+im.From.String())
	}
	want := []string{"base<-scratch", "runtime-node<-acme/base", "app-node<-acme/runtime-node", "runtime-python<-acme/base", "app-python<-acme/runtime-python"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if im, err := r.Find("acme/app-python"); err != nil || im.Config.Cmd[0] != "python" || im.Parent().Packages[0] != "python3" {
		t.Errorf("got %+v, %v", im, err)
	}
	selected, err := r.Select([]string{"app-node"})
	if err != nil || len(selected) != 3 || selected[0].Name != "base" || selected[2].Name != "app-node" {
		t.Errorf("selected %v, %v", selected, err)
	}
	if _, err := r.Select([]string{"app-pyton"}); err == nil || err.Error() != `the template has no image "app-pyton" (did you mean "app-python"?)` {
		t.Errorf("got %v", err)
	}
	if all, err := r.Select(nil); err != nil || len(all) != 5 {
		t.Errorf("got %v, %v", all, err)
	}
	if leaves := r.Leaves(); len(leaves) != 2 || leaves[0].Name != "app-node" {
		t.Errorf("leaves are %v", leaves)
	}
}

func TestFunctions(t *testing.T) {
	for expr, want := range map[string]string{
		`upper("aé")`:                                    "AÉ",
		`lower("A")`:                                     "a",
		`format("%s-%03d", "a", 7)`:                      "a-007",
		`join(",", split("-", "a-b"))`:                   "a,b",
		`replace("a.b.c", ".", "_")`:                     "a_b_c",
		`regex_replace("a1b22", "[0-9]+", "#")`:          "a#b#",
		`regex("v([0-9]+)", "v18.1")[0]`:                 "18",
		`lookup({a = "x"}, "b", "y")`:                    "y",
		`jsonencode(merge({a = 1}, {b = [true, null]}))`: `{"a":1,"b":[true,null]}`,
		`jsondecode("{\"a\":\"b\"}").a`:                  "b",
		`join("", concat(["a"], ["b"]))`:                 "ab",
		`join("", keys({b = 1, a = 2}))`:                 "ab",
		`join("", values({b = "1", a = "2"}))`:           "21",
		`length("aé")`:                                   "2",
		`length([1, 2, 3])`:                              "3",
		`length({a = 1})`:                                "1",
		`length(toset(["a", "a"]))`:                      "1",
		`contains(["a"], "a") ? "y" : "n"`:               "y",
		`coalesce(null, "b")`:                            "b",
		`try({}.a, "fallback")`:                          "fallback",
		`can({}.a)`:                                      "false",
		`trimspace(" a ")`:                               "a",
		`trimprefix("va", "v")`:                          "a",
		`substr(git.commit, 0, 12)`:                      "0123456789ab",
		`file("app/main.js")`:                            "1",
		`filebase64("app/main.js")`:                      "MQ==",
		`filesha256("app/main.js")`:                      "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
		`sha256("1")`:                                    "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b",
		`base64decode(base64encode("ü"))`:                "ü",
		`tostring(tonumber("8080") + 1)`:                 "8081",
		`join("", [for k, v in {a = "1"}: "${k}${v}"])`:  "a1",
		`"%{ if true }yes%{ else }no%{ endif }"`:         "yes",
	} {
		r := load(t, app("annotations = { v = "+expr+" }"), Options{Git: func() string { return "0123456789abcdef0123456789abcdef01234567" }})
		im, err := r.Find("shop")
		if err != nil {
			t.Fatal(err)
		}
		if got := im.Annotations["v"]; got != want {
			t.Errorf("%s = %q, want %q", expr, got, want)
		}
	}
}

func TestGitIsAskedOnlyWhereItIsUsed(t *testing.T) {
	load(t, app(""), Options{Git: func() string { t.Error("asked"); return "" }})
	r := load(t, app(`annotations = { c = git.commit }`), Options{Git: func() string { return "" }})
	if im, _ := r.Find("shop"); im.Annotations["c"] != strings.Repeat("0", 40) {
		t.Errorf("without a commit: %q", im.Annotations["c"])
	}
}

func TestFilesThatFunctionsReadAreListed(t *testing.T) {
	r := load(t, app(`annotations = { c = file("./app/../app/main.js") }`), Options{})
	names, err := r.ReadFiles()
	if err != nil || !slices.Equal(names, []string{"app/main.js", "kiln.hcl"}) {
		t.Errorf("got %q, %v", names, err)
	}
}

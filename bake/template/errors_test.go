package template

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Every line of a template that is refused, with all that is said about it.
// Line 7 is the line in question.
func TestImageErrors(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"unknown attribute":    {`versoin = "1"`, `kiln.hcl:7: image "shop": unknown attribute "versoin" (did you mean "version"?)`},
		"unknown block":        {`confg {}`, `kiln.hcl:7: image "shop": unknown block "confg" (did you mean "config"?)`},
		"block as attribute":   {`config = {}`, `kiln.hcl:7: image "shop": unknown attribute "config" (config is a block: write config { without =)`},
		"attribute as block":   {`annotations { a = "b" }`, `kiln.hcl:7: image "shop": unknown block "annotations" (annotations is an attribute: write annotations = …)`},
		"two configs":          {"config {}\nconfig {}", `kiln.hcl:8: image "shop": config stands here twice`},
		"wrong type":           {`packages = "nodejs"`, `kiln.hcl:7: image "shop": packages: list of string required`},
		"null element":         {`packages = [null]`, `kiln.hcl:7: image "shop": packages: an element is null or holds a NUL byte`},
		"bad tier":             {`tier = "midleware"`, `kiln.hcl:7: image "shop": there is no tier "midleware" (did you mean "middleware"?)`},
		"bad tier, far":        {`tier = "x"`, `kiln.hcl:7: image "shop": there is no tier "x" (want base, middleware or app)`},
		"bad version":          {`version = "1 4"`, `kiln.hcl:7: image "shop": version "1 4" cannot begin a tag (a tag takes letters, digits, . _ - and +, at most 92)`},
		"long version":         {`version = join("", [for i in range(93): "1"])`, `kiln.hcl:7: image "shop": version "` + strings.Repeat("1", 93) + `" cannot begin a tag (a tag takes letters, digits, . _ - and +, at most 92)`},
		"package version":      {`packages = ["nodejs=18"]`, `kiln.hcl:7: image "shop": packages: "nodejs=18" names a version (kiln.lock pins versions: kiln lock --update moves them)`},
		"package name":         {`packages = ["Node JS"]`, `kiln.hcl:7: image "shop": packages: "Node JS" is no package name`},
		"platform":             {`platforms = ["windows/amd64"]`, `kiln.hcl:7: image "shop": platform "windows/amd64" is not supported (this host bakes ` + host() + `)`},
		"no platforms":         {`platforms = []`, `kiln.hcl:7: image "shop": platforms is empty (leave it out for this host's, ` + host() + `)`},
		"platform twice":       {`platforms = ["` + host() + `", "` + host() + `"]`, `kiln.hcl:7: image "shop": platform "` + host() + `" is listed twice`},
		"platform of parent":   {`platforms = ["linux/s390x"]`, `kiln.hcl:6: image "shop": image "base" is baked for "` + host() + `", not for "linux/s390x" (add it to the platforms of image "base")`},
		"once for platforms":   {"platforms = [\"" + host() + "\", \"linux/s390x\"]\nversoin = 1", `kiln.hcl:6: image "shop": image "base" is baked for "` + host() + `", not for "linux/s390x" (add it to the platforms of image "base")` + "\n" + `kiln.hcl:8: image "shop": unknown attribute "versoin" (did you mean "version"?)`},
		"platforms by itself":  {`platforms = [platform.name]`, `kiln.hcl:7: image "shop": platform cannot be used here`},
		"annotation":           {`annotations = { "org.opencontainers.image.base.digest" = "x" }`, `kiln.hcl:7: image "shop": annotation "org.opencontainers.image.base.digest" is written by kiln (leave it out: it follows from the image's name, version, tier and from)`},
		"annotation tier":      {`annotations = { "org.kiln.tier" = "base", "a" = "b" }`, `kiln.hcl:7: image "shop": annotation "org.kiln.tier" is written by kiln (leave it out: it follows from the image's name, version, tier and from)`},
		"annotation title":     {`annotations = { "org.opencontainers.image.title" = "x" }`, `kiln.hcl:7: image "shop": annotation "org.opencontainers.image.title" is written by kiln (leave it out: it follows from the image's name, version, tier and from)`},
		"unknown name":         {`version = bookworm`, `kiln.hcl:7: image "shop": unknown name bookworm (for text write "bookworm")`},
		"unknown variable":     {`version = var.version`, `kiln.hcl:7: image "shop": there is no var.version`},
		"each without":         {`version = each.key`, `kiln.hcl:7: image "shop": each is only there in an image with for_each`},
		"clock":                {`version = timestamp()`, `kiln.hcl:7: image "shop": version: call to unknown function: there is no function named "timestamp" (the same template must give the same image: pass such a value as a variable)`},
		"suite of parent":      {`debian { suite = "trixie" }`, `kiln.hcl:5: image "shop": suite "trixie" differs from "bookworm" of the image it is made from (leave suite out)`},
		"variant beside from":  {`debian { variant = "minbase" }`, `kiln.hcl:7: image "shop": debian: variant stands beside from (a variant is for an image without from)`},
		"copy nothing":         {`copy {}`, `kiln.hcl:7: image "shop": copy: source is missing` + "\n" + `kiln.hcl:7: image "shop": copy: target is missing`},
		"copy missing":         {"copy {\nsource = \"./dist\"\ntarget = \"/srv\"\n}", `kiln.hcl:8: image "shop": copy source "./dist" does not exist (run your build first?)`},
		"copy empty":           {"copy {\nsource = \"\"\ntarget = \"/srv\"\n}", `kiln.hcl:8: image "shop": copy source is empty ("." is the template's folder)`},
		"copy outside":         {"copy {\nsource = \"../x\"\ntarget = \"/srv\"\n}", `kiln.hcl:8: image "shop": copy source "../x" is outside the template's folder (copy takes files of the folder of kiln.hcl only)`},
		"copy sneaks outside":  {"copy {\nsource = \"app/../../x\"\ntarget = \"/srv\"\n}", `kiln.hcl:8: image "shop": copy source "app/../../x" is outside the template's folder (copy takes files of the folder of kiln.hcl only)`},
		"copy absolute":        {"copy {\nsource = \"/etc\"\ntarget = \"/srv\"\n}", `kiln.hcl:8: image "shop": copy source "/etc" is outside the template's folder (copy takes files of the folder of kiln.hcl only)`},
		"copy relative target": {"copy {\nsource = \"app\"\ntarget = \"srv\"\n}", `kiln.hcl:9: image "shop": copy: target "srv" is not absolute (begin it with "/" and leave out "..")`},
		"copy climbing target": {"copy {\nsource = \"app\"\ntarget = \"/srv/../etc\"\n}", `kiln.hcl:9: image "shop": copy: target "/srv/../etc" is not absolute (begin it with "/" and leave out "..")`},
		"copy file to root":    {"copy {\nsource = \"app/main.js\"\ntarget = \"\"\n}", `kiln.hcl:9: image "shop": copy: target "" is not absolute (begin it with "/" and leave out "..")`},
		"copy owner name":      {"copy {\nsource = \"app\"\ntarget = \"/srv\"\nowner = \"www-data\"\n}", `kiln.hcl:10: image "shop": copy: owner "www-data" is not a numeric uid:gid (write "10001:10001"; names differ between images)`},
		"copy owner none":      {"copy {\nsource = \"app\"\ntarget = \"/srv\"\nowner = \"4294967295:0\"\n}", `kiln.hcl:10: image "shop": copy: owner "4294967295:0" is not a numeric uid:gid (write "10001:10001"; names differ between images)`},
		"copy mode":            {"copy {\nsource = \"app\"\ntarget = \"/srv\"\nmode = \"rw\"\n}", `kiln.hcl:10: image "shop": copy: mode "rw" is no file mode (write it in octal, as "0644")`},
		"copy mtime":           {"copy {\nsource = \"app\"\ntarget = \"/srv\"\nmtime = \"today\"\n}", `kiln.hcl:10: image "shop": copy: mtime "today" is no time (write it as "2024-01-31T00:00:00Z")`},
		"copy exclude":         {"copy {\nsource = \"app\"\ntarget = \"/srv\"\nexclude = [\"[\"]\n}", `kiln.hcl:10: image "shop": copy: exclude: "[" is no pattern`},
		"copy unknown":         {"copy {\nsource = \"app\"\ntarget = \"/srv\"\nexclud = \"1\"\n}", `kiln.hcl:10: image "shop": copy: unknown attribute "exclud" (did you mean "exclude"?)`},
		"copy label":           {`copy "app" {}`, `kiln.hcl:7: image "shop": copy has 1 labels, want 0 (write copy {)`},
		"user nothing":         {`user "app" {}`, `kiln.hcl:7: image "shop": user "app": uid is missing`},
		"user label":           {`user {}`, `kiln.hcl:7: image "shop": user has 0 labels, want 1 (write user "name" {)`},
		"user name":            {`user "App" { uid = 7 }`, `kiln.hcl:7: image "shop": user "App": "App" is no account's name (use lower-case letters, digits, _ and -, at most 32, and begin with a letter)`},
		"user uid":             {`user "app" { uid = 4294967295 }`, `kiln.hcl:7: image "shop": user "app": uid: want a whole number from 0 to 4294967294`},
		"user home":            {`user "app" { ` + "\n" + `uid = 7` + "\n" + `home = "/a:b"` + "\n" + `}`, `kiln.hcl:9: image "shop": user "app": home: a colon or a line's end has no place in /etc/passwd`},
		"user shell":           {`user "app" { ` + "\n" + `uid = 7` + "\n" + `shell = "sh"` + "\n" + `}`, `kiln.hcl:9: image "shop": user "app": shell "sh" is not absolute (begin it with "/" and leave out "..")`},
		"user groups":          {`user "app" { ` + "\n" + `uid = 7` + "\n" + `groups = ["a b"]` + "\n" + `}`, `kiln.hcl:9: image "shop": user "app": groups: "a b" is no group's name`},
		"user twice":           {"user \"app\" { uid = 7 }\nuser \"web\" { uid = 7 }", `kiln.hcl:8: image "shop": user "web": name or uid is that of user "app"`},
		"group nothing":        {`group "web" {}`, `kiln.hcl:7: image "shop": group "web": gid is missing`},
		"group members":        {"group \"web\" {\ngid = 7\nmembers = [\"\"]\n}", `kiln.hcl:9: image "shop": group "web": members: "" is no user's name`},
		"group twice":          {"group \"web\" { gid = 7 }\ngroup \"web\" { gid = 8 }", `kiln.hcl:8: image "shop": group "web": name or gid is that of group "web"`},
		"file nothing":         {`file {}`, `kiln.hcl:7: image "shop": file: path is missing` + "\n" + `kiln.hcl:7: image "shop": file: content is missing`},
		"file relative":        {"file {\npath = \"etc/x\"\ncontent = \"\"\n}", `kiln.hcl:8: image "shop": file: path "etc/x" is not absolute (begin it with "/" and leave out "..")`},
		"file root":            {"file {\npath = \"/\"\ncontent = \"\"\n}", `kiln.hcl:8: image "shop": file: path is the root (name a path below it)`},
		"file twice":           {"file {\npath = \"/x\"\ncontent = \"\"\n}\ndir { path = \"/x\" }", `kiln.hcl:11: image "shop": dir: /x is declared twice`},
		"symlink nothing":      {`symlink { path = "/x" }`, `kiln.hcl:7: image "shop": symlink: to is missing`},
		"symlink to nothing":   {"symlink {\npath = \"/x\"\nto = \"\"\n}", `kiln.hcl:9: image "shop": symlink: to: a symlink's text has 1 to 4095 bytes`},
		"permissions nothing":  {`permissions { path = "/x" }`, `kiln.hcl:7: image "shop": permissions: the permissions change nothing (add mode = "0640" or owner = "0:0")`},
		"unit's name":          {`systemd "app" { content = "[Unit]" }`, `kiln.hcl:7: image "shop": systemd "app": "app" is no unit's name (write it with its type: "app.service")`},
		"unit's text":          {`systemd "app.service" { content = "x" }`, `kiln.hcl:7: image "shop": systemd "app.service": content: line 1 is neither [Section] nor Key=value`},
		"unit that starts not": {"systemd \"app.service\" {\ncontent = \"[Unit]\"\nenable = true\n}", `kiln.hcl:9: image "shop": systemd "app.service": the unit does not say what starts it (add [Install] with WantedBy=multi-user.target to the content)`},
		"unit template":        {"systemd \"app@.service\" { content = \"[Install]\\nWantedBy=a.target\" }", `kiln.hcl:7: image "shop": systemd "app@.service": a template unit has no instance to start (declare an instance, or enable = false)`},
		"sysctl nothing":       {`sysctl {}`, `kiln.hcl:7: image "shop": sysctl: settings is missing`},
		"sysctl name":          {"sysctl {\nname = \"../x\"\nsettings = { \"a.b\" = 1 }\n}", `kiln.hcl:8: image "shop": sysctl: "../x" is no file name (write it as "60-app")`},
		"sysctl key":           {`sysctl { settings = { "a b" = 1 } }`, `kiln.hcl:7: image "shop": sysctl: "a b" is no kernel parameter (write it as "net.core.somaxconn")`},
		"sysctl value":         {`sysctl { settings = { "a.b" = "" } }`, `kiln.hcl:7: image "shop": sysctl: settings: the value of a.b is empty or has several lines`},
		"hardening nothing":    {`hardening { no_shell = false }`, `kiln.hcl:7: image "shop": hardening: the block hardens nothing (set no_setuid, no_shell, no_package_manager or read_only_root to true)`},
		"hardening unknown":    {`hardening { no_shel = true }`, `kiln.hcl:7: image "shop": hardening: the block hardens nothing (set no_setuid, no_shell, no_package_manager or read_only_root to true)` + "\n" + `kiln.hcl:7: image "shop": hardening: unknown attribute "no_shel" (did you mean "no_shell"?)`},
		"hardened shell test":  {"hardening { no_shell = true }\ntest \"t\" { command = [\"sh\"] }", `kiln.hcl:8: image "shop": test "t": the hardening of image "shop" left no shell (call the program itself, or use http)`},
		"read-only unproved":   {`hardening { read_only_root = true }`, `kiln.hcl:5: image "shop": read_only_root is for a test to prove, and there is none (add test "starts" { http { port = … } } or a command: tests run with a read-only root)`},
		"read-only writable":   {"hardening { read_only_root = true }\ntest \"t\" {\nwritable = true\nhttp { port = 80 }\n}\nconfig { cmd = [\"a\"] }", `kiln.hcl:8: image "shop": test "t": read_only_root, but the test starts the image with a root that it can write to (leave writable out)`},
		"run nothing":          {`run {}`, `kiln.hcl:7: image "shop": run: command is missing`},
		"run one text":         {`run { command = "ls -l" }`, `kiln.hcl:7: image "shop": run: command: want a list of words, not one text (write command = ["ls", "-l"])`},
		"run empty":            {`run { command = [] }`, `kiln.hcl:7: image "shop": run: command is empty`},
		"run network":          {"run {\ncommand = [\"true\"]\nnetwork = \"bridge\"\n}", `kiln.hcl:9: image "shop": run: there is no network "bridge" (want "none" or "host")`},
		"run workdir":          {"run {\ncommand = [\"true\"]\nworkdir = \"srv\"\n}", `kiln.hcl:9: image "shop": run: workdir "srv" is not absolute (begin it with "/" and leave out "..")`},
		"run timeout":          {"run {\ncommand = [\"true\"]\ntimeout = \"10\"\n}", `kiln.hcl:9: image "shop": run: timeout: "10" is no duration up to 24h (write it like "10s" or "1m30s")`},
		"run user":             {"run {\ncommand = [\"true\"]\nuser = \"a b\"\n}", `kiln.hcl:9: image "shop": run: "a b" is no user (write "10001", "10001:10001" or a name)`},
		"run env":              {"run {\ncommand = [\"true\"]\nenv = { \"A=B\" = \"c\" }\n}", `kiln.hcl:9: image "shop": run: env: "A=B" is no variable's name`},
		"port":                 {`config { ports = [0] }`, `kiln.hcl:7: image "shop": config: "0" is no port (write 8080 or "53/udp")`},
		"volume":               {`config { volumes = ["data"] }`, `kiln.hcl:7: image "shop": config: volume "data" is not an absolute path below / (begin it with "/" and leave out "..")`},
		"signal":               {`config { stop_signal = "TERM please" }`, `kiln.hcl:7: image "shop": config: "TERM please" is no signal (write it as "SIGTERM")`},
		"health check":         {"config {\nhealthcheck {}\n}", `kiln.hcl:8: image "shop": config: healthcheck: command is missing`},
		"health retries":       {"config {\nhealthcheck {\ncommand = [\"true\"]\nretries = 1.5\n}\n}", `kiln.hcl:10: image "shop": config: healthcheck: retries: want a whole number from 1 to 1000`},
		"test label":           {`test {}`, `kiln.hcl:7: image "shop": test has 0 labels, want 1 (write test "name" {)`},
		"test nothing":         {`test "a" {}`, `kiln.hcl:7: image "shop": test "a": the test does nothing (add command = […] or http { … })`},
		"test twice":           {"test \"a\" { command = [\"true\"] }\ntest \"a\" { command = [\"true\"] }", `kiln.hcl:8: image "shop": test "a": declared twice`},
		"test pattern":         {"test \"a\" {\ncommand = [\"true\"]\nstdout = \"(\"\n}", `kiln.hcl:9: image "shop": test "a": stdout: error parsing regexp: missing closing ): ` + "`(`" + ` (in HCL a backslash is written twice: "\\.")`},
		"test exit":            {"test \"a\" {\ncommand = [\"true\"]\nexit = 256\n}", `kiln.hcl:9: image "shop": test "a": exit: want a whole number from 0 to 255`},
		"test both":            {"config { cmd = [\"x\"] }\ntest \"a\" {\ncommand = [\"true\"]\nhttp { port = 1 }\n}", `kiln.hcl:8: image "shop": test "a": command and http stand in one test (make it two tests; http starts the image as it is configured)`},
		"http timeout":         {"config { cmd = [\"x\"] }\ntest \"a\" {\ntimeout = \"9s\"\nhttp { port = 1 }\n}", `kiln.hcl:9: image "shop": test "a": timeout is for a command (say within in the http block)`},
		"http port":            {"config { cmd = [\"x\"] }\ntest \"a\" {\nhttp {}\n}", `kiln.hcl:9: image "shop": test "a": http: port is missing`},
		"http path":            {"config { cmd = [\"x\"] }\ntest \"a\" {\nhttp {\nport = 1\npath = \"healthz\"\n}\n}", `kiln.hcl:11: image "shop": test "a": http: path "healthz" is no URL's path (begin it with "/")`},
		"http starts nothing":  {"test \"a\" {\nhttp { port = 1 }\n}", `kiln.hcl:7: image "shop": test "a": the image has no entrypoint or cmd to start (add config { entrypoint = […] })`},
		"reads outside":        {`version = file("../secret")`, `kiln.hcl:7: image "shop": version: invalid function argument: invalid value for "text" parameter: read "../secret" in the template's folder: path escapes from parent`},
		"for_each type":        {`for_each = ["a"]`, `kiln.hcl:7: image "shop": for_each: want a map or a set of texts, not a tuple (write toset(["a", "b"]) or { a = 1, b = 2 })`},
		"for_each name":        {`for_each = toset(["A"])`, `kiln.hcl:5: image "shop-A" is no image name (use lower-case letters and digits, with single . _ or any number of - between them)`},
		"syntax":               {`version = `, `kiln.hcl:7: invalid expression: expected the start of an expression, but found an invalid expression token`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, app(c.line), Options{}, c.want) })
	}
}

// Errors of the template around its images.
func TestTemplateErrors(t *testing.T) {
	const image = "image \"a\" {\n}\n"
	sha := strings.Repeat("a", 64)
	for name, c := range map[string]struct{ text, want string }{
		"empty":               {``, `kiln.hcl:1: project is missing (begin the template with project = "name")` + "\n" + `kiln.hcl:1: the template has no image (add image "name" { … })`},
		"host as project":     {"project = \"registry.example.com\"\n" + image, `kiln.hcl:1: project "registry.example.com" reads like a registry's host (a project has no "." or ":" and is not "localhost")`},
		"port as project":     {"project = \"acme:5000\"\n" + image, `kiln.hcl:1: project "acme:5000" reads like a registry's host (a project has no "." or ":" and is not "localhost")`},
		"localhost":           {"project = \"localhost\"\n" + image, `kiln.hcl:1: project "localhost" reads like a registry's host (a project has no "." or ":" and is not "localhost")`},
		"upper-case project":  {"project = \"Acme\"\n" + image, `kiln.hcl:1: project "Acme" is no image name (use lower-case letters and digits, with single . _ or any number of - between them)`},
		"upper-case image":    {"project = \"acme\"\nimage \"Shop\" {}\n", `kiln.hcl:2: image "Shop" is no image name (use lower-case letters and digits, with single . _ or any number of - between them)`},
		"slash":               {"project = \"acme\"\nimage \"a/b\" {}\n", `kiln.hcl:2: image "a/b" has a slash (the project comes before the name by itself)`},
		"long name":           {"project = \"acme\"\nimage \"" + strings.Repeat("a", 196) + "\" {}\n", `kiln.hcl:2: image "` + strings.Repeat("a", 196) + `": project and name are longer than 200 bytes`},
		"duplicate":           {"project = \"acme\"\nimage \"a\" {}\nimage \"a\" {}\n", `kiln.hcl:3: image "a" is declared twice`},
		"duplicate instance":  {"project = \"acme\"\nimage \"a-b\" {}\nimage \"a\" {\n  for_each = toset([\"b\"])\n}\n", `kiln.hcl:3: image "a-b" is declared twice, first in line 2`},
		"unknown image":       {"project = \"acme\"\nimage \"base\" {}\nimage \"a\" {\n  from = image.bas\n}\n", `kiln.hcl:4: image "a": there is no image.bas (did you mean "base"?)`},
		"self":                {"project = \"acme\"\nimage \"a\" {\n  from = image.a\n}\n", `kiln.hcl:3: image "a": from is the image itself`},
		"cycle":               {"project = \"acme\"\nimage \"a\" {\n  from = image.c\n}\nimage \"b\" {\n  from = image.a\n}\nimage \"c\" {\n  from = image.b\n}\n", `kiln.hcl:3: image "a": images are made from each other: a -> c -> b -> a`},
		"cycle of instances":  {"project = \"acme\"\nimage \"a\" {\n  for_each = { x = \"y\", y = \"x\" }\n  from = image.a[each.value]\n}\n", `kiln.hcl:4: image "a-x": images are made from each other: a-x -> a-y -> a-x`},
		"no instance":         {"project = \"acme\"\nimage \"a\" {\n  for_each = toset([\"x\"])\n}\nimage \"b\" {\n  from = image.a\n}\n", `kiln.hcl:6: image "b": from names an image with for_each (name one instance, as in image.name["x"])`},
		"wrong instance":      {"project = \"acme\"\nimage \"a\" {\n  for_each = toset([\"prod\"])\n}\nimage \"b\" {\n  from = image.a[\"prot\"]\n}\n", `kiln.hcl:6: image "b": there is no image.a.prot (did you mean "prod"?)`},
		"from a number":       {"project = \"acme\"\nimage \"a\" {\n  from = 1\n}\n", `kiln.hcl:3: image "a": from: a number is no image (want image.name, "name@sha256:…", channel("name", "prod") or "scratch")`},
		"from a tag":          {"project = \"acme\"\nimage \"a\" {\n  from = \"debian:12\"\n}\n", `kiln.hcl:3: image "a": from "debian:12" has no digest (write "debian:12@sha256:…")`},
		"from a channel":      {"project = \"acme\"\nimage \"a\" {\n  from = \"acme/base\"\n}\n", `kiln.hcl:3: image "a": from "acme/base" has no digest (write "acme/base@sha256:…" or channel("acme/base", "prod"))`},
		"from quoted":         {"project = \"acme\"\nimage \"a\" {\n  from = \"base\"\n}\n", `kiln.hcl:3: image "a": from "base" has no digest (write image.base for an image of this template)`},
		"from a short digest": {"project = \"acme\"\nimage \"a\" {\n  from = \"acme/b@sha256:abc\"\n}\n", `kiln.hcl:3: image "a": from "acme/b@sha256:abc": no digest after the @ (want sha256: and 64 lower-case hex digits)`},
		"from a path digest":  {"project = \"acme\"\nimage \"a\" {\n  from = \"acme/b@sha256:../../" + sha[6:] + "\"\n}\n", `kiln.hcl:3: image "a": from "acme/b@sha256:../../` + sha[6:] + `": no digest after the @ (want sha256: and 64 lower-case hex digits)`},
		"from an upper case":  {"project = \"acme\"\nimage \"a\" {\n  from = \"acme/b@sha256:" + strings.ToUpper(sha) + "\"\n}\n", `kiln.hcl:3: image "a": from "acme/b@sha256:` + strings.ToUpper(sha) + `": no digest after the @ (want sha256: and 64 lower-case hex digits)`},
		"channel":             {"project = \"acme\"\nimage \"a\" {\n  from = channel(\"acme/b\", \"a b\")\n}\n", `kiln.hcl:3: image "a": from: invalid function argument: invalid value for "channel" parameter: "a b" is no channel`},
		"no suite":            {"project = \"acme\"\nimage \"a\" {\n  debian {}\n}\n", `kiln.hcl:3: image "a": debian: suite is missing (add suite = "bookworm")`},
		"variant":             {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    variant = \"minbas\"\n  }\n}\n", `kiln.hcl:5: image "a": debian: there is no variant "minbas" (did you mean "minbase"?)`},
		"suite":               {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"../x\"\n  }\n}\n", `kiln.hcl:4: image "a": debian: "../x" is no suite`},
		"mirror":              {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    mirror = \"ftp://example.com\"\n  }\n}\n", `kiln.hcl:5: image "a": debian: mirror is no archive's address (want http://…, https://… or an absolute path)`},
		"credentials":         {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    mirror = \"https://me:pw@example.com/\"\n  }\n}\n", `kiln.hcl:5: image "a": debian: mirror holds credentials (keep them out of the template: apt's auth.conf holds them)`},
		"keyring":             {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    mirror = \"http://example.com\"\n    keyring = \"k.asc\"\n  }\n}\n", `kiln.hcl:6: image "a": debian: keyring: read "k.asc" in the template's folder: no such file or directory (a path in the template's folder, an absolute one, or the armoured key itself)`},
		"source":              {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    source {\n      mirror = \"http://example.com\"\n      suite = \"x\"\n    }\n  }\n}\n", `kiln.hcl:5: image "a": debian: source: keyring is missing`},
		"packages of nothing": {"project = \"acme\"\nimage \"a\" {\n  packages = [\"nodejs\"]\n}\n", `kiln.hcl:2: image "a": packages need a base to be installed on (add debian { suite = "bookworm" } or from = image.…)`},
		"distroless run":      {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    variant = \"distroless\"\n  }\n}\nimage \"b\" {\n  from = image.a\n  run { command = [\"/app\"] }\n}\n", `kiln.hcl:10: image "b": run: a distroless image has nothing to run commands with (run it in another image, or use variant minbase)`},
		"distroless packages": {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    variant = \"distroless\"\n  }\n}\nimage \"b\" {\n  from = image.a\n  packages = [\"curl\"]\n}\n", `kiln.hcl:8: image "b": a distroless parent has no dpkg to add packages with (list them in the debian block of the distroless image)`},
		"distroless shell":    {"project = \"acme\"\nimage \"a\" {\n  debian {\n    suite = \"bookworm\"\n    variant = \"distroless\"\n  }\n  test \"t\" { command = [\"/bin/sh\", \"-c\", \"true\"] }\n}\n", `kiln.hcl:7: image "a": test "t": a distroless image has no shell (call the program itself, or use http)`},
		"platforms' version":  {"project = \"acme\"\nimage \"a\" {\n  platforms = [\"linux/s390x\", \"linux/arm64\"]\n  version = platform.arch\n}\n", `kiln.hcl:2: image "a": version is "arm64" for linux/arm64 and "s390x" for linux/s390x (the platforms of an image are one version)`},
		"hardened shell":      {"project = \"acme\"\nimage \"a\" {\n  debian { suite = \"bookworm\" }\n  hardening { no_shell = true }\n}\nimage \"b\" {\n  from = image.a\n  run { command = [\"sh\", \"-c\", \"x\"] }\n}\n", `kiln.hcl:8: image "b": run: the hardening of image "a" left no shell (call the program itself, or harden only the last image)`},
		"hardened packages":   {"project = \"acme\"\nimage \"a\" {\n  debian { suite = \"bookworm\" }\n  hardening { no_package_manager = true }\n}\nimage \"b\" {\n  from = image.a\n  packages = [\"curl\"]\n}\n", `kiln.hcl:6: image "b": the hardening of image "a" left no package manager to add packages with (install them in image "a", or harden only the last image)`},
		"locals cycle":        {"project = \"acme\"\nlocals {\n  a = local.b\n  b = local.a\n}\n" + image, `kiln.hcl:4: locals: values need each other: a -> b -> a`},
		"locals twice":        {"project = \"acme\"\nlocals {\n  a = 1\n}\nlocals {\n  a = 1\n}\n" + image, `kiln.hcl:6: locals: a is declared twice`},
		"unknown local":       {"project = local.nam\nlocals {\n  name = \"acme\"\n}\n" + image, `kiln.hcl:1: there is no local.nam (did you mean "name"?)`},
		"unknown block":       {"project = \"acme\"\nimages \"a\" {}\n" + image, `kiln.hcl:2: unknown block "images" (did you mean "image"?)`},
		"not UTF-8":           {"project = \"acme\xff\"\n" + image, `kiln.hcl: the template is not UTF-8`},
		"deep":                {"project = " + strings.Repeat("(", 200) + "\n" + image, `kiln.hcl:1: more than 100 brackets or signs stand inside each other`},
		"signs":               {"project = " + strings.Repeat("!", 200) + "\n" + image, `kiln.hcl:1: more than 100 brackets or signs stand inside each other`},
	} {
		t.Run(name, func(t *testing.T) { refuse(t, c.text, Options{}, c.want) })
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	var lines []string
	for i := range 30 {
		lines = append(lines, fmt.Sprintf("x%d = 1", i))
	}
	_, err := Load(tree(t, map[string]string{FileName: app(strings.Join(lines, "\n"))}), Options{})
	var e *Error
	if !errors.As(err, &e) || len(e.Problems) != maxProblems+1 {
		t.Fatalf("got %v", err)
	}
	if last := e.Problems[maxProblems].String(); last != "kiln.hcl: 10 more problems" {
		t.Errorf("the last is %q", last)
	}
}

func TestNoTemplate(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir, Options{}); err == nil || !strings.Contains(err.Error(), "kiln init writes one") {
		t.Errorf("got %v", err)
	}
	big := tree(t, map[string]string{FileName: strings.Repeat("#", maxTemplate+1)})
	if _, err := Load(big, Options{}); err == nil || !strings.Contains(err.Error(), "has more than") {
		t.Errorf("got %v", err)
	}
}

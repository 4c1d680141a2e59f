package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"kiln/registry/access"
	"kiln/registry/hclfile"
	"kiln/registry/promotion"
)

// configFolder has the files that the examples name.
func configFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), 1)
	for name, content := range map[string]string{
		"users": "", "session.key": strings.Repeat("k", 44), "metrics.token": "scrape-me", "ca.pem": readFile(t, filepath.Join(dir, "tls.crt")), "promotion.key": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestConfigErrors: each problem names its line and block.
func TestConfigErrors(t *testing.T) {
	dir := configFolder(t)
	for _, c := range []struct {
		config string
		want   []string // in order
	}{
		{`lisen = "127.0.0.1:1"`, []string{`F:1: unknown attribute "lisen" (did you mean "listen"?)`}},
		{"\n\nlimts {\n}", []string{`F:3: unknown block "limts" (did you mean "limits"?)`}},
		{`tls = "x"`, []string{`F:1: unknown attribute "tls" (tls is a block: write tls { without =)`}},
		{"listen {\n}", []string{`F:1: unknown block "listen" (listen is an attribute: write listen = …)`}},
		{`listen = "5000"`, []string{`F:1: listen: "5000": want host:port`}},
		{`listen = var.x`, []string{`F:1: listen: Variables not allowed`}},
		{`listen = null`, []string{`F:1: listen: a value is required`}},
		{`listen = [`, []string{`F:1: `}},
		{`url = "registry.example.com"`, []string{`F:1: url: "registry.example.com": want https://`}},
		{`url = "https://me:secret@registry.example.com"`, []string{`F:1: url: `}},
		{`promotion_key = "nowhere.key"`, []string{`F:1: promotion_key: open ` + dir + `/nowhere.key: no such file`}},
		{`channels = ["dev", "dev"]`, []string{`F:1: channels: "dev" is no tag, a version tag or there twice`}},
		{"channels = [\"dev\", \"prod\"]\nlisten = \"5000\"\npolicy {\n  example \"soak\" {\n    channels = [\"prod\", \"prd\"]\n  }\n}", []string{
			`F:2: listen: "5000"`, `F:5: policy: example "soak": channels: there is no channel "prd", but dev, prod`,
		}},
		{`channels = []`, []string{`F:1: channels: names none`}},
		{`trusted_proxies = ["10.0.0.0/33", "proxy"]`, []string{`"10.0.0.0/33" is no address`, `"proxy" is no address`}},
		{`trusted_proxies = ["0.0.0.0/0", "::/0"]`, []string{`"0.0.0.0/0" is everybody`, `"::/0" is everybody`}},
		{"limits {\n  idle = \"1 minute\"\n  body = \"10 gigs\"\n  concurrent_requests = 0\n  header = \"1KiB\"\n}", []string{
			`F:2: limits: idle: "1 minute" is no time span: write 90s, 12h or 30d`, `F:3: limits: body: "10 gigs" is no size`,
			`F:4: limits: concurrent_requests: want a whole number from 1`, `F:5: limits: header: 1KiB is less than 4096 bytes`,
		}},
		{"limits {\n  idle = \"48h\"\n}", []string{`F:2: limits: idle: 48h is not between 1s and 1h`}},
		{"limits {\n}\nlimits {\n}", []string{`F:3: limits: stands here twice`}},
		{"limits \"x\" {\n}", []string{`F:1: limits has 1 label, want 0: write limits {`}},
		{"tls {\n  cert = \"tls.crt\"\n  min_version = \"1.1\"\n}", []string{`F:1: tls: key is missing`, `F:3: tls: min_version: "1.1" is not one of 1.2, 1.3`}},
		{"tls {\n  cert = \"tls.crt\"\n  key = \"tls.key\"\n}\ninsecure_http = true\nurl = \"http://r.example.com\"", []string{
			`F:5: insecure_http: there is a tls block`, `F:6: url: http://r.example.com is not https`,
		}},
		{"auth {\n  htpasswd = \"none\"\n  session_key = \".\"\n}", []string{`F:2: auth: htpasswd: open`, `F:3: auth: session_key: ` + dir + ` is a folder`}},
		{"auth {\n  session_key = \"metrics.token\"\n}", []string{`F:2: auth: session_key: 9 bytes are too few: at least 32`}},
		{"auth {\n  user \"ann\" {\n  }\n}", []string{`F:1: auth: users have no passwords`, `F:2: auth: user "ann": may do nothing`}},
		{"auth {\n  htpasswd = \"users\"\n  user \"ann\" {\n    grant {\n      images = [\"acme/[\"]\n      verbs = [\"pul\", \"admin\", \"promote\"]\n    }\n  }\n}", []string{
			`F:4: auth: user "ann": grant: channels is missing`,
			`F:5: auth: user "ann": grant: images: "acme/[" is no pattern`, `F:5: auth: user "ann": grant: images: admin is about the whole store: images must be ["**"]`,
			`F:6: auth: user "ann": grant: verbs: "pul" is not one of pull, push, attest, delete, promote, approve, rollback, revoke, lease, policy, gc, admin (did you mean "pull"?)`,
		}},
		{"auth {\n  oidc \"ci\" {\n    issuer = \"https://ci.example.com\"\n    audience = \"\"\n    role \"r\" {\n      claims = {}\n    }\n  }\n}", []string{
			`F:4: auth: oidc "ci": audience: it is empty`, `F:5: auth: oidc "ci": role "r": may do nothing`, `F:6: auth: oidc "ci": role "r": claims: none would let in every token`,
		}},
		{"auth {\n  oidc \"ci\" {\n  }\n}", []string{`oidc "ci": issuer is missing`, `audience is missing`, `has no role`}},
		{"auth {\n  oidc \"ci\" {\n    issuer = \"https://a.example.com\"\n    audience = \"k\"\n    ca = \"users\"\n    role \"r\" {\n      claims = { sub = \"\" }\n      grant {\n        images = [\"**\"]\n        verbs = [\"pull\"]\n        channels = [\"dev\"]\n      }\n    }\n  }\n}", []string{
			`F:5: auth: oidc "ci": ca: ` + dir + `/users holds no certificate`, `F:7: auth: oidc "ci": role "r": claims: sub has no value`, `F:11: auth: oidc "ci": role "r": grant: channels: no verb of this grant is about channels`,
		}},
		{"retention \"acme/*\" {\n}", []string{`F:1: retention "acme/*": says nothing`}},
		{"retention \"a\" {\n  keep_last = 1\n}\nretention \"a\" {\n  keep_last = 2\n}", []string{`F:4: retention "a": stands here twice`}},
		{"collection {\n  grace = \"24h\"\n}", []string{`F:1: collection: every is missing`}},
		{"log {\n  format = \"xml\"\n  level = \"loud\"\n}", []string{`F:2: log: format: "xml" is not one of text, json`, `F:3: log: level: "loud" is not one of`}},
		{"tracing {\n  endpoint = \"collector\"\n  sample = 2\n}", []string{`F:2: tracing: endpoint: "collector": want the URL`, `F:3: tracing: sample: want a number from 0 to 1`}},
		{"pprof {\n  listen = \"0.0.0.0:6060\"\n}", []string{`F:2: pprof: listen: 0.0.0.0:6060 is not loopback, and profiles hold secrets`}},
		{"pprof {\n  listen = \"127.0.0.1:9\"\n}\nmetrics {\n  listen = \"127.0.0.1:9\"\n}", []string{`F: pprof: listens on the address of metrics`}},
		{"metrics {\n  listen = \"127.0.0.1:5000\"\n}", []string{`F: metrics: listens on the address of the registry`}},
		{"shutdown {\n  timeout = \"5m\"\n  uploads = \"1m\"\n}", []string{`F:3: shutdown: uploads: 1m is less than timeout`}},
	} {
		_, err := parseServeConfig("F", dir, []byte(c.config))
		if err == nil {
			t.Errorf("no error for\n%s", c.config)
			continue
		}
		if exitCode(err) != exitUsage {
			t.Errorf("exit code %d for\n%s", exitCode(err), c.config)
		}
		got := strings.Split(err.Error(), "\n")
		if len(got) != len(c.want) {
			t.Errorf("%d problems, want %d, for\n%s\n%s", len(got), len(c.want), c.config, err)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("problem %d is\n\t%s\nwant\n\t%s\nfor\n%s", i, got[i], want, c.config)
			}
		}
	}
}

// docs is docs/serve.md and the examples in it.
func docs(t *testing.T) (text string, examples []string) {
	t.Helper()
	text = readFile(t, filepath.Join("..", "..", "docs", "serve.md"))
	for _, m := range regexp.MustCompile("(?s)```hcl\n(.*?)```").FindAllStringSubmatch(text, -1) {
		examples = append(examples, m[1])
	}
	return text, examples
}

// TestConfigDocs: every example of docs/serve.md is a valid file, and every
// attribute and block that there is has a line in its tables.
func TestConfigDocs(t *testing.T) {
	dir := configFolder(t)
	text, examples := docs(t)
	if len(examples) < 4 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, e := range examples {
		cfg, err := parseServeConfig("serve.md", dir, []byte(e))
		if err == nil {
			err = cfg.checkOpen()
		}
		if err != nil {
			t.Errorf("%v\n%s", err, e)
		}
	}
	for _, name := range configNames() {
		if !strings.Contains(text, "| `"+name+"` |") {
			t.Errorf("docs/serve.md has no line about %s", name)
		}
	}
}

// configNames are all names that a file may hold, as block.attribute.
func configNames() []string {
	var names []string
	collect := func(name string, read func(b *configBlock)) {
		b := &configBlock{Block: (&hclfile.Problems{}).Parse(nil, nil)}
		b.Labels = []string{"x"}
		read(b)
		for _, a := range b.Asked() {
			names = append(names, strings.TrimPrefix(name+"."+a, "."))
		}
	}
	collect("", func(b *configBlock) {
		b.address("listen", "")
		readURL(b)
		readStore(b)
		readChannels(b)
		b.file("promotion_key")
		b.boolean("insecure_http", false)
		b.networks("trusted_proxies")
	})
	collect("tls", func(b *configBlock) { readTLS(b) })
	collect("auth", func(b *configBlock) { readAuth(b) })
	collect("oidc", func(b *configBlock) { readIssuer(b) })
	collect("limits", func(b *configBlock) { readLimits(b) })
	collect("metrics", func(b *configBlock) { readMetrics(b) })
	collect("pprof", func(b *configBlock) { readPprof(b) })
	collect("log", func(b *configBlock) { readLog(b) })
	collect("tracing", func(b *configBlock) { readTracing(b) })
	collect("collection", func(b *configBlock) { readCollection(b) })
	collect("retention", func(b *configBlock) { readRetention([]*configBlock{b}) })
	collect("uploads", func(b *configBlock) { readUploads(b) })
	collect("blobs", func(b *configBlock) { readBlobs(b) })
	collect("shutdown", func(b *configBlock) { readShutdown(b) })
	return append(names, "role.claims", "grant.images", "grant.channels", "grant.verbs")
}

// TestConfigNames: configNames misses no attribute of the file itself.
func TestConfigNames(t *testing.T) {
	_, err := parseServeConfig("F", "", []byte("unknown_attribute_with_a_long_name = 1"))
	if err == nil {
		t.Fatal("an unknown attribute passes")
	}
	top := 0
	for _, name := range configNames() {
		if !strings.Contains(name, ".") {
			top++
		}
	}
	if top != 7 {
		t.Errorf("%d attributes of the file, want 7: listen, url, store, promotion_key, channels, insecure_http, trusted_proxies", top)
	}
}

func TestConfigValues(t *testing.T) {
	dir := configFolder(t)
	cfg, err := parseServeConfig("F", dir, []byte(`
listen          = "0.0.0.0:5000"
url             = "https://registry.example.com/"
store           = "var/store"
channels        = ["dev", "prod"]
trusted_proxies = ["10.0.0.7", "fd00::/8"]
tls {
  cert        = "tls.crt"
  key         = "tls.key"
  min_version = "1.3"
}
auth {
  htpasswd       = "users"
  session_key    = "session.key"
  anonymous_pull = ["acme/public/**"]
  user "ann" {
    grant {
      images   = ["acme/*"]
      channels = ["dev"]
      verbs    = ["pull", "promote"]
    }
    grant {
      images = ["**"]
      verbs  = ["admin"]
    }
  }
  oidc "ci" {
    issuer   = "https://ci.example.com"
    audience = "kiln"
    max_age  = "1h"
    role "release" {
      claims = { repository = "acme/shop", ref = "refs/heads/main" }
      grant {
        images = ["acme/shop"]
        verbs  = ["push"]
      }
    }
  }
}
limits {
  body = "5GiB"
  idle = "90s"
}
log {
  format = "json"
  level  = "warn"
}
collection {
  every = "12h"
  grace = "2d"
}
retention "acme/*" {
  keep_last    = 10
  keep_younger = "90d"
  keep_tags    = ["1.*"]
  history      = 5
}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := defaultServeConfig()
	want.listen, want.url, want.store, want.channels = "0.0.0.0:5000", "https://registry.example.com", filepath.Join(dir, "var/store"), []string{"dev", "prod"}
	want.tls = &tlsConfig{cert: filepath.Join(dir, "tls.crt"), key: filepath.Join(dir, "tls.key"), minVersion: tls.VersionTLS13}
	want.auth = &authConfig{
		htpasswd: filepath.Join(dir, "users"), sessionKey: filepath.Join(dir, "session.key"), anonymousPull: []string{"acme/public/**"},
		users: map[string][]access.Grant{"ann": {
			{Images: []string{"acme/*"}, Channels: []string{"dev"}, Verbs: []access.Verb{access.Pull, access.Promote}},
			{Images: []string{"**"}, Verbs: []access.Verb{access.Admin}},
		}},
		issuers: []access.Issuer{{
			Name: "ci", URL: "https://ci.example.com", Audience: "kiln", MaxAge: time.Hour,
			Roles: []access.Role{{
				Claims: map[string]string{"repository": "acme/shop", "ref": "refs/heads/main"},
				Grants: []access.Grant{{Images: []string{"acme/shop"}, Verbs: []access.Verb{access.Push}}},
			}},
		}},
	}
	want.limits.body, want.limits.idle = 5<<30, 90*time.Second
	want.log = logConfig{json: true, level: slog.LevelWarn}
	want.collection = collectionConfig{every: 12 * time.Hour, grace: 48 * time.Hour}
	want.retention = []promotion.RetentionRule{{Image: "acme/*", KeepLast: 10, KeepYounger: promotion.Duration(90 * day), KeepTags: []string{"1.*"}, History: 5}}
	if len(cfg.trustedProxies) != 2 || cfg.trustedProxies[0].String() != "10.0.0.7/32" || cfg.trustedProxies[1].String() != "fd00::/8" {
		t.Errorf("trusted proxies %v", cfg.trustedProxies)
	}
	cfg.trustedProxies = nil
	if !reflect.DeepEqual(cfg, want) {
		t.Errorf("got\n%+v\nwant\n%+v", cfg, want)
	}
}

// TestConfigOrder: flags stand above the file, the file above the environment.
func TestConfigOrder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "serve.hcl")
	if err := os.WriteFile(file, []byte("listen = \"127.0.0.1:1\"\nstore = \"file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": dir, "KILN_STORE": "/env", "KILN_PROMOTION_KEY": "env.key", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
	for _, c := range []struct {
		name          string
		flags         serveFlags
		store         string // of app: --store or KILN_STORE
		listen, where string
	}{
		{"nothing", serveFlags{}, "", "127.0.0.1:5000", filepath.Join(dir, ".local/share/kiln")},
		{"environment", serveFlags{}, "/env", "127.0.0.1:5000", "/env"},
		{"file", serveFlags{config: file}, "/env", "127.0.0.1:1", filepath.Join(dir, "file")},
		{"flags", serveFlags{config: file, listen: "127.0.0.1:2", store: true}, "/flag", "127.0.0.1:2", "/flag"},
	} {
		a := &app{stdio: stdio{out: io.Discard, err: io.Discard}, getenv: func(k string) string { return env[k] }, store: c.store}
		cfg, err := a.serveConfig(c.flags)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if cfg.listen != c.listen || cfg.store != c.where {
			t.Errorf("%s: %s %s, want %s %s", c.name, cfg.listen, cfg.store, c.listen, c.where)
		}
		if cfg.promotionKey != "env.key" || cfg.tracing.endpoint == "" {
			t.Errorf("%s: the environment is not asked: %+v", c.name, cfg)
		}
	}
}

// TestConfigOpen: beyond loopback nothing is open, and nothing is said in the
// clear.
func TestConfigOpen(t *testing.T) {
	for _, c := range []struct {
		listen         string
		auth, tls, mad bool
		want           string
	}{
		{listen: "127.0.0.1:0"},
		{listen: "[::1]:0"},
		{listen: "localhost:0"},
		{listen: "127.8.0.1:0", auth: true},
		{listen: "0.0.0.0:0", want: "without authentication"},
		{listen: ":5000", want: "without authentication"},
		{listen: "[::]:5000", tls: true, want: "without authentication"},
		{listen: "10.0.0.1:5000", mad: true, want: "without authentication"},
		{listen: "localhost.example.com:5000", want: "without authentication"},
		{listen: "10.0.0.1:5000", auth: true, want: "over plain HTTP"},
		{listen: "10.0.0.1:5000", auth: true, tls: true},
		{listen: "10.0.0.1:5000", auth: true, mad: true},
		{listen: "nonsense", want: "want host:port"},
	} {
		cfg := defaultServeConfig()
		cfg.listen, cfg.insecureHTTP = c.listen, c.mad
		if c.auth {
			cfg.auth = &authConfig{}
		}
		if c.tls {
			cfg.tls = &tlsConfig{}
		}
		err := cfg.checkOpen()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A session key of blanks is no key: replicas would each make their own.
func TestBlankSessionKey(t *testing.T) {
	dir := configFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "blank.key"), []byte(strings.Repeat(" ", 50)), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"blank.key": "0 bytes without blanks are too few", "session.key": ""} {
		cfg, err := parseServeConfig("F", dir, []byte("auth {\n  session_key = \""+file+"\"\n}"))
		if err == nil {
			err = cfg.checkAccess()
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

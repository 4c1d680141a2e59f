package dockerfile

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// one evaluates a Dockerfile on a base.
func one(t *testing.T, text string, o Options, base v1.Config) *Result {
	t.Helper()
	p := plan(t, text, o)
	return evaluate(t, p, map[string]Base{p.Root(): {Config: base}})
}

// of are the steps of one type.
func of[T Step](r *Result) []T {
	var list []T
	for _, s := range r.Steps {
		if step, ok := s.(T); ok {
			list = append(list, step)
		}
	}
	return list
}

// Expected values are what docs.docker.com/reference/dockerfile and BuildKit's
// own tests say.
func TestScopes(t *testing.T) {
	text := `
ARG VERSION=1
ARG PKG=pkg-$VERSION
FROM base
ARG VERSION
ARG PKG
ARG OWN=own-$VERSION
ARG NONE
ENV FULL=$PKG/$OWN DEFAULTED=${NONE:-fallback} ALT=${OWN:+alternative} HOME2=$HOME
ENV A=new B=$A
RUN echo
`
	r := one(t, text, Options{Args: map[string]string{"VERSION": "2", "HTTP_PROXY": "http://p"}}, v1.Config{Env: []string{"PATH=/bin", "A=old", "HOME=/h"}})
	want := []string{"PATH=/bin", "A=new", "HOME=/h", "FULL=pkg-2/own-2", "DEFAULTED=fallback", "ALT=alternative", "HOME2=/h", "B=old"}
	if !slices.Equal(r.Config.Env, want) {
		t.Errorf("env of the image\n got %q\nwant %q", r.Config.Env, want)
	}
	env := of[*Run](r)[0].Env
	for _, kv := range []string{"VERSION=2", "PKG=pkg-2", "OWN=own-2", "HTTP_PROXY=http://p", "A=new"} {
		if !slices.Contains(env, kv) {
			t.Errorf("RUN does not see %s: %q", kv, env)
		}
	}
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "NONE=") || strings.HasPrefix(kv, "TARGET") }) {
		t.Errorf("RUN sees what nobody declared: %q", env)
	}
}

// A stage FROM another inherits its configuration and its arguments.
func TestStagesInherit(t *testing.T) {
	r := one(t, `
FROM base AS one
ARG X=1
ENV E=$X
WORKDIR /srv
USER app
CMD ["a"]
ONBUILD ENV TRIGGERED=yes
FROM one
ENV F=$X$TARGETARCH
WORKDIR sub
ENTRYPOINT run me
`, Options{}, v1.Config{})
	if want := []string{"PATH=" + DefaultPath, "E=1", "TRIGGERED=yes", "F=1"}; !slices.Equal(r.Config.Env, want) {
		t.Errorf("env %q, want %q", r.Config.Env, want)
	}
	if r.Config.WorkingDir != "/srv/sub" || r.Config.User != "app" || r.Config.Cmd != nil || r.Config.OnBuild != nil {
		t.Errorf("config %+v", r.Config)
	}
	if want := []string{"/bin/sh", "-c", "run me"}; !slices.Equal(r.Config.Entrypoint, want) {
		t.Errorf("entrypoint %q", r.Config.Entrypoint)
	}
}

func TestConfig(t *testing.T) {
	r := one(t, `# escape=\
FROM scratch
MAINTAINER me
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
CMD echo hi
ENTRYPOINT ["/app"]
EXPOSE 80 443/TCP 8000-8002/udp
VOLUME ["/data", "/with space"]
LABEL a=b "c d"="e f"
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=3s --retries=2 CMD curl -f localhost
ONBUILD RUN make
USER 1000:1000
`, Options{}, v1.Config{})
	want := v1.Config{
		Env: []string{"PATH=" + DefaultPath}, WorkingDir: "/", User: "1000:1000",
		Cmd: []string{"/bin/bash", "-o", "pipefail", "-c", "echo hi"}, Entrypoint: []string{"/app"},
		Shell:        []string{"/bin/bash", "-o", "pipefail", "-c"},
		ExposedPorts: map[string]struct{}{"80/tcp": {}, "443/tcp": {}, "8000/udp": {}, "8001/udp": {}, "8002/udp": {}},
		Labels:       map[string]string{"a": "b", "c d": "e f"}, StopSignal: "SIGQUIT",
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "curl -f localhost"}, Interval: 5 * time.Second, Timeout: 3 * time.Second, Retries: 2},
		OnBuild:     []string{"RUN make"}, Volumes: map[string]struct{}{"/data": {}, "/with space": {}},
	}
	if !reflect.DeepEqual(r.Config, want) {
		t.Errorf("config\n got %+v\nwant %+v", r.Config, want)
	}
	if r.Author != "me" {
		t.Errorf("author %q", r.Author)
	}
}

// An ENTRYPOINT takes the parent's CMD away, but not the stage's own.
func TestCmdReset(t *testing.T) {
	base := v1.Config{Cmd: []string{"old"}}
	if r := one(t, "FROM b\nENTRYPOINT [\"e\"]", Options{}, base); r.Config.Cmd != nil {
		t.Errorf("cmd of the parent stays: %q", r.Config.Cmd)
	}
	if r := one(t, "FROM b\nCMD [\"c\"]\nENTRYPOINT [\"e\"]", Options{}, base); !slices.Equal(r.Config.Cmd, []string{"c"}) {
		t.Errorf("cmd %q, want c", r.Config.Cmd)
	}
}

func TestTriggers(t *testing.T) {
	p := plan(t, "FROM base\nRUN last\n", Options{})
	r := evaluate(t, p, map[string]Base{"base": {Config: v1.Config{
		OnBuild: []string{"WORKDIR /app", "COPY . .", "RUN npm ci"}, WorkingDir: "/x",
	}}})
	var names []string
	for _, s := range r.Steps {
		names = append(names, s.Label())
	}
	if want := []string{"ONBUILD WORKDIR /app", "ONBUILD COPY . .", "ONBUILD RUN npm ci", "RUN last"}; !slices.Equal(names, want) {
		t.Errorf("steps %q, want %q", names, want)
	}
	if c := of[*Copy](r)[0]; r.Config.OnBuild != nil || c.Dest != "/app/" {
		t.Errorf("%+v, copy to %s", r.Config.OnBuild, c.Dest)
	}
	_, err := evaluated(plan(t, "FROM base", Options{}), map[string]Base{"base": {Config: v1.Config{OnBuild: []string{"COPY --from=other/image a b"}}}})
	if err == nil || !strings.Contains(err.Error(), "does not name") {
		t.Errorf("got %v", err)
	}
}

func TestHeredocs(t *testing.T) {
	r := one(t, `FROM base
ENV WHO=me
RUN <<EOF
echo one
echo two
EOF
RUN <<EOF cat > /x
hello
EOF
RUN <<-SCRIPT
	#!/usr/bin/env python3
	print(1)
SCRIPT
COPY <<a <<"b" /etc/
a is $WHO
a
b is $WHO
b
`, Options{}, v1.Config{})
	list := of[*Run](r)
	if got := list[0].Args[2]; got != "echo one\necho two\n" {
		t.Errorf("first: %q", got)
	}
	if got := list[1].Args[2]; got != "<<EOF cat > /x\nhello\nEOF" {
		t.Errorf("second: %q", got)
	}
	if s := list[2].Script; s == nil || s.Data != "#!/usr/bin/env python3\nprint(1)\n" || list[2].Args[2] != ScriptDir+"/SCRIPT" {
		t.Errorf("third: %+v %q", s, list[2].Args)
	}
	c := of[*Copy](r)[0]
	if len(c.Contents) != 2 || c.Contents[0].Data != "a is me\n" || c.Contents[1].Data != "b is $WHO\n" || c.Dest != "/etc/" {
		t.Errorf("copy: %+v", c)
	}
}

func TestCopies(t *testing.T) {
	r := one(t, `FROM base AS one
FROM base
WORKDIR /srv/
ENV D=lib
COPY --chown=app:grp --chmod=755 a b ${D}/
COPY --from=one --link --parents --exclude=*.md /x/./y /z
COPY x .
ADD x.tar.gz /opt
ADD --checksum=sha256:aa https://example.com/f /f
ADD --unpack=false x.tar /
`, Options{}, v1.Config{})
	list := of[*Copy](r)
	if c := list[0]; c.Dest != "/srv/lib/" || c.Owner != "app:grp" || c.Mode != "755" || !slices.Equal(c.Sources, []string{"a", "b"}) || c.Add {
		t.Errorf("first %+v", c)
	}
	if c := list[1]; c.From.Stage == nil || c.From.Stage.Name != "one" || !c.Link || !c.Parents || !slices.Equal(c.Exclude, []string{"*.md"}) {
		t.Errorf("second %+v", c)
	}
	if list[2].Dest != "/srv/" || !list[3].Unpack || list[4].Unpack || list[4].Checksum == "" || list[5].Unpack {
		t.Errorf("rest %+v %+v %+v %+v", list[2], list[3], list[4], list[5])
	}
}

func TestMounts(t *testing.T) {
	r := one(t, `FROM base
WORKDIR /w
ARG ID=npm
RUN --mount=type=cache,id=$ID,target=/root/.npm,sharing=locked --mount=type=secret,id=token --mount=type=secret,id=key,env=KEY \
    --mount=type=bind,source=src,target=in --mount=type=tmpfs,target=/t,size=64m --network=none npm ci
RUN --mount=target=. ls
`, Options{Network: "host"}, v1.Config{})
	first, second := of[*Run](r)[0], of[*Run](r)[1]
	want := []Mount{
		{Type: "cache", Source: "/", Target: "/root/.npm", ID: "npm"},
		{Type: "secret", Target: "/run/secrets/token", ID: "token", ReadOnly: true, Mode: 0o400},
		{Type: "secret", ID: "key", Env: "KEY", ReadOnly: true, Mode: 0o400},
		{Type: "bind", Source: "/src", Target: "/w/in", ReadOnly: true},
		{Type: "tmpfs", Source: "/", Target: "/t", Size: 64 << 20},
	}
	if !reflect.DeepEqual(first.Mounts, want) {
		t.Errorf("mounts\n got %+v\nwant %+v", first.Mounts, want)
	}
	if first.Network != "none" || second.Network != "host" || second.Mounts[0].Target != "/w" {
		t.Errorf("networks %s and %s, target %s", first.Network, second.Network, second.Mounts[0].Target)
	}
	if want := "RUN --mount=target=. ls"; second.Name != want {
		t.Errorf("name %q, want %q", second.Name, want)
	}
}

func TestIgnore(t *testing.T) {
	ig, err := ParseIgnore(".dockerignore", []byte("# comment\nnode_modules\n**/*.log\n!keep.log\n/docs/*\n!docs/README.md\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		rel    string
		folder bool
		out    bool
	}{
		{"node_modules", true, true}, {"node_modules/a/b.js", false, true}, {"sub/node_modules", true, false},
		{"x.log", false, true}, {"a/b/x.log", false, true}, {"keep.log", false, false},
		{"docs", true, false}, {"docs/x.md", false, true}, {"docs/README.md", false, false}, {"Dockerfile", false, false},
	} {
		out, err := ig.Out(c.rel, c.folder)
		if err != nil || out != c.out {
			t.Errorf("%s: out %v, %v", c.rel, out, err)
		}
	}
	if !ig.Exceptions() {
		t.Error("there are exceptions")
	}
	if _, err := ParseIgnore(".dockerignore", []byte("[")); err == nil {
		t.Error("a broken pattern is no error")
	}
}

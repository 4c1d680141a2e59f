package dockerfile

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// plan parses and plans a Dockerfile for linux/amd64.
func plan(t *testing.T, text string, o Options) *Plan {
	t.Helper()
	f, err := Parse("Dockerfile", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o.Platform = "linux/amd64"
	p, err := f.Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// evaluate evaluates the target on bases by their reference.
func evaluate(t *testing.T, p *Plan, bases map[string]Base) *Result {
	t.Helper()
	res, err := evaluated(p, bases)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func evaluated(p *Plan, bases map[string]Base) (*Result, error) {
	var below *Result
	for _, st := range p.Target.Chain() {
		base := bases[st.Base.Image]
		base.Stage = below
		var err error
		if below, err = st.Evaluate(base); err != nil {
			return nil, err
		}
	}
	return below, nil
}

func TestReferences(t *testing.T) {
	p := plan(t, `
ARG BASE=acme/node:18
ARG ARCH=$TARGETARCH
FROM $BASE AS deps
RUN npm ci
FROM unused/image AS nobody
RUN --mount=type=ssh true
FROM tools-${ARCH} AS build
COPY --from=deps /a /b
COPY --from=busybox:1 /bin/busybox /bin/
RUN --mount=type=bind,from=acme/tools,target=/t true
FROM scratch
COPY --from=2 /x /y
`, Options{})
	if got := strings.Join(p.References(), " "); got != "acme/node:18 acme/tools busybox:1 tools-amd64" {
		t.Errorf("references: %s", got)
	}
	if p.Root() != "" {
		t.Errorf("root %q, want scratch", p.Root())
	}
	p = plan(t, "FROM a/b@sha256:00 AS one\nFROM one AS two\nFROM scratch\n", Options{Target: "TWO"})
	if p.Root() != "a/b@sha256:00" || len(p.Target.Chain()) != 2 {
		t.Errorf("root %q, chain of %d", p.Root(), len(p.Target.Chain()))
	}
	if p = plan(t, "FROM a\nFROM b\n", Options{Target: "0"}); p.Root() != "a" {
		t.Errorf("target 0 is from %s", p.Root())
	}
}

// What kiln does not do says where and what instead.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"FROM a\nRUN --security=insecure true", "Dockerfile:2: RUN --security=insecure is not supported"},
		{"FROM a\nRUN --network=host true", `Dockerfile:2: RUN --network=host is not allowed (say network = "host"`},
		{"FROM a\n\nRUN --mount=type=ssh git clone x", "Dockerfile:3: RUN --mount=type=ssh is not supported"},
		{"FROM a\nRUN --mount=type=bind,rw,target=/x true", "RUN --mount=type=bind,rw is not supported"},
		{"FROM a\nRUN --device=gpu true", "RUN --device is not supported"},
		{"FROM a\nADD http://h/x.tgz /", "ADD of a URL needs --checksum"},
		{"FROM a\nADD --keep-git-dir=true https://h/x.git /", "--keep-git-dir is not supported"},
		{"FROM a\nCOPY --from=$X a b", "variables are not replaced here"},
		{"FROM a AS x\nCOPY --from=1 a b\nFROM x", "there is no such stage before this one"},
		{"FROM a AS x\nCOPY --from=later a b\nFROM b AS later\nFROM x", "Dockerfile:2: --from=later: the stage must come before this one"},
		{"FROM a\nCOPY --link --chown=app x /", "--link looks at nothing below"},
		{"FROM a\nCOPY --chmod=u+x x /", "--chmod=u+x is not supported (write it in octal"},
		{"FROM a\nCOPY a b /c", "end it with a slash"},
		{"FROM --platform=linux/arm64 a", "Dockerfile:1: FROM --platform=linux/arm64 is not the image's platform"},
		{"# syntax=acme/frontend:2\nFROM a", `Dockerfile:1: syntax "acme/frontend:2" is not supported`},
		{"FROM a\nHEALTHCHECK --start-interval=1s CMD true", "--start-interval is not supported"},
		{"FROM a\nFRIM b", "Dockerfile:2: unknown instruction: FRIM"},
		{"RUN x", "no build stage in current context"},
		{"# nothing", "file with no instructions"},
		{"FROM a\nEXPOSE 99999", "EXPOSE 99999"},
		{"FROM a\nEXPOSE 1.2.3.4:80:80", "the container's port only"},
		{"FROM a\nSTOPSIGNAL now!", "is no signal"},
		{"FROM a\nSTOPSIGNAL SIGTREM", "is no signal"},
		{"FROM a\nSTOPSIGNAL RTMIN+16", "is no signal"},
		{"FROM $X", "FROM $X names no image"},
		{"FROM a\nENV A=aaaaaaaaaaaaaaaa\nENV A=$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A\nENV A=$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A\nENV A=$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A\nENV A=$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A$A", "the variables are too large"},
	} {
		f, err := Parse("Dockerfile", []byte(c.text))
		if err == nil {
			var p *Plan
			if p, err = f.Plan(Options{Platform: "linux/amd64"}); err == nil {
				_, err = evaluated(p, nil)
			}
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	f, err := Parse("Dockerfile", []byte("FROM a AS x"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Plan(Options{Target: "y"}); err == nil || !strings.Contains(err.Error(), `there is no stage "y" (its stages are x)`) {
		t.Errorf("got %v", err)
	}
}

func TestUnused(t *testing.T) {
	p := plan(t, "ARG A\nFROM a\nARG B\n", Options{Args: map[string]string{"A": "1", "B": "2", "C": "3", "http_proxy": "x", "TARGETARCH": "y"}})
	if got := strings.Join(p.Unused(), " "); got != "C" {
		t.Errorf("unused: %q", got)
	}
	evaluate(t, p, map[string]Base{"a": {Config: v1.Config{OnBuild: []string{"ARG C"}}}})
	if len(p.Unused()) != 0 {
		t.Errorf("a trigger takes C, and yet unused: %q", p.Unused())
	}
}

func TestIsSignal(t *testing.T) {
	for text, want := range map[string]bool{
		"SIGTERM": true, "term": true, "sigusr1": true, "9": true, "SIGRTMIN+3": true, "rtmax-14": true, "RTMIN": true,
		"SIG": false, "SIG9": false, "SIGFOO": false, "0": false, "RTMIN+0": false, "": false,
	} {
		if got := isSignal(text); got != want {
			t.Errorf("isSignal(%q) = %v", text, got)
		}
	}
}

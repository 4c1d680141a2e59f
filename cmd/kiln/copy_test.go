package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
)

// TestCopyThere copies an image from the store to other registries, kiln's own
// and those of another project, and from there to a second store: it verifies
// everywhere, and is the same version in the end.
func TestCopyThere(t *testing.T) {
	p := newPlace(t)
	p.env["KILN_PROMOTION_KEY"] = p.path("promote.key")
	p.env["KILN_STORE"] = p.path("store")
	out, _ := p.kiln(exitDone, "bake", p.path("app"), "--promote", "dev", "--json")
	var report bakeReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	img := report.Images[0]
	other := func(referrers bool) string {
		s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, url := range map[string]string{
		"kiln serve":         p.serve(p.path("served"), p.path("promote.key")).URL,
		"another":            other(true),
		"one of an old spec": other(false),
	} {
		t.Run(name, func(t *testing.T) {
			p := p.in(t, map[string]string{"KILN_STORE": p.path("store")})
			there := strings.TrimPrefix(url, "http://") + "/" + img.Image
			p.in(t, nil).copyThere(img, there)
			if byChannel := p.copied(exitDone, img.Image+":dev", strings.TrimSuffix(there, img.Image)+"by/channel"); !slices.Equal(byChannel.Tags, []string{img.Tag}) {
				t.Errorf("a channel is copied as %v", byChannel.Tags)
			}
		})
	}
}

// in is the same place, in another environment, for a test of its own.
func (p *place) in(t *testing.T, env map[string]string) *place {
	c := &place{t: t, dir: p.dir, env: map[string]string{}}
	for _, e := range []map[string]string{p.env, env} {
		for k, v := range e {
			c.env[k] = v
		}
	}
	return c
}

func (p *place) copied(code int, args ...string) copyReport {
	p.t.Helper()
	out, _ := p.kiln(code, append([]string{"copy", "--json"}, args...)...)
	var report copyReport
	if code == exitDone {
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			p.t.Fatal(err)
		}
	}
	return report
}

func (p *place) copyThere(img bakedImage, there string) {
	p.t.Helper()
	local := img.Image + "@" + img.Digest.String()
	there1 := p.copied(exitDone, local, there+":one")
	if !slices.Equal(there1.Tags, []string{img.Tag, "one"}) || there1.Attached != 9 || there1.Sent != there1.Blobs || there1.Sent == 0 {
		p.t.Errorf("copied %+v", there1)
	}
	if again := p.copied(exitDone, local, there+":one"); again.Sent != 0 {
		p.t.Errorf("copied again %+v", again)
	}
	p.kiln(exitDone, "verify", there+":one", "--key", p.path("bake.pub"))
	p.kiln(exitUnverified, "verify", there+":one", "--key", p.path("promote.pub"))

	p.env["KILN_STORE"] = p.t.TempDir()
	_, talk := p.kiln(exitDone, "copy", there+":one", img.Image)
	if !strings.Contains(talk, ":one is "+img.Image+"@"+img.Digest.String()) {
		p.t.Errorf("the digest of a tag is not told: %s", talk)
	}
	back, _ := p.kiln(exitDone, "verify", img.Image+":one", "--key", p.path("bake.pub"))
	for _, want := range []string{"(tag)", "(bundle)", "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"} {
		if !strings.Contains(back, want) {
			p.t.Errorf("verify prints no %s: %s", want, back)
		}
	}
	if out, _ := p.kiln(exitDone, "versions", img.Image); !strings.Contains(out, img.Tag) {
		p.t.Errorf("versions %s", out)
	}
	p.copied(exitNotFound, there+":none", img.Image)
	p.copied(exitNotFound, there+"@"+digest.FromString("none").String(), img.Image)
}

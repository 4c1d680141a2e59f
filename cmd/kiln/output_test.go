package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// A bake writes its targets to another registry with their evidence, under
// their own name or the one that is given.
func TestOutputToARegistry(t *testing.T) {
	p := newPlace(t)
	p.env["KILN_STORE"] = p.path("store")
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	t.Cleanup(s.Close)
	host := strings.TrimPrefix(s.URL, "http://")
	out, _ := p.kiln(exitDone, "bake", p.path("app"), "--output", "registry:"+host, "--output", "registry:"+host+"/other/name:one", "--json")
	var report bakeReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	img := report.Images[0]
	there := host + "/" + img.Image
	p.kiln(exitDone, "verify", there+"@"+img.Digest.String(), "--key", p.path("bake.pub"))
	p.kiln(exitDone, "verify", there+":"+img.Tag, "--key", p.path("bake.pub"))
	for _, tag := range []string{"one", img.Tag} {
		_, talk := p.kiln(exitDone, "copy", host+"/other/name:"+tag, "oci:"+t.TempDir())
		if !strings.Contains(talk, img.Digest.String()) {
			t.Errorf("%s is not the digest that was baked: %s", tag, talk)
		}
	}
	p.kiln(exitError, "bake", p.path("app"), "--output", "registry:127.0.0.1:1")
}

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// movingTag answers for a tag with one digest the first time it is asked, and with
// another one from then on.
type movingTag struct {
	http.Handler
	tag         string
	first, then string
	asked       atomic.Int32
}

func (m *movingTag) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, ok := strings.CutSuffix(r.URL.Path, "/manifests/"+m.tag); ok {
		d := m.then
		if m.asked.Add(1) == 1 {
			d = m.first
		}
		r.URL.Path = path + "/manifests/" + d
	}
	m.Handler.ServeHTTP(w, r)
}

// FAULTS 34: what a tag names is looked up once; what is verified is the digest
// that is printed, wherever the tag goes meanwhile.
func TestVerifyLooksATagUpOnce(t *testing.T) {
	p := newPlace(t)
	s := p.serve(p.path("store"), p.path("promote.key"))
	bake := func() string {
		out, _ := p.kiln(exitDone, "--store", s.URL, "bake", p.path("app"), "--json")
		var report bakeReport
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatal(err)
		}
		return report.Images[0].Digest.String()
	}
	signed := bake()
	f, err := os.OpenFile(p.path("app", "kiln.hcl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("# changed\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	p.env["KILN_KEY"] = ""
	unsigned := bake()
	if signed == unsigned {
		t.Fatal("one digest, two are needed")
	}
	for _, c := range []struct {
		name, first, then string
		code              int
	}{
		{"a good one, then a bad one", signed, unsigned, exitDone},
		{"a bad one, then a good one", unsigned, signed, exitUnverified},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &movingTag{Handler: s.Config.Handler, tag: "stable", first: c.first, then: c.then}
			proxy := httptest.NewServer(m)
			defer proxy.Close()
			ref := strings.TrimPrefix(proxy.URL, "http://") + "/acme/files:stable"
			out, talk := p.in(t, nil).kiln(c.code, "verify", ref, "--key", p.path("bake.pub"))
			if m.asked.Load() != 1 {
				t.Errorf("the tag was asked for %d times", m.asked.Load())
			}
			if !strings.Contains(talk, ref+" is ") || !strings.Contains(talk, c.first) || c.code == exitDone && !strings.HasPrefix(out, "acme/files@"+c.first) {
				t.Errorf("another digest was verified than was found:\n%s%s", out, talk)
			}
		})
	}
}

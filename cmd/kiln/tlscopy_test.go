package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCopyOverTLS: a registry on loopback that speaks TLS is spoken TLS with,
// although a reference does not say so, and its certificate counts.
func TestCopyOverTLS(t *testing.T) {
	r := startTLS(t, "")
	p := newPlace(t)
	p.env["KILN_STORE"] = p.path("store")
	out, _ := p.kiln(0, "bake", p.path("app"), "--json")
	var report bakeReport
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	copied := r.address() + "/acme/files"
	for cert, want := range map[string]string{"tls.crt": "copied acme/files", "serve.hcl": "certificate"} {
		cmd := exec.Command("kiln", "copy", "acme/files@"+string(report.Images[0].Digest), copied+":one", "--store", p.path("store"))
		cmd.Env = append(cmd.Environ(), "HOME="+p.path("home"), "SSL_CERT_DIR="+p.path("home"), "SSL_CERT_FILE="+filepath.Join(r.dir, cert))
		talk, err := cmd.CombinedOutput()
		if (err == nil) != (cert == "tls.crt") || !strings.Contains(string(talk), want) {
			t.Errorf("trusting %s: %v\n%s", cert, err, talk)
		}
	}
}

// TestUntrustedCertificate: who meets a certificate of an authority that is not
// known here is told where to name it, and not to look for the server.
func TestUntrustedCertificate(t *testing.T) {
	r := startTLS(t, "")
	p := newPlace(t)
	for _, args := range [][]string{
		{"images", "--store", r.url},
		{"verify", r.address() + "/acme/files:x", "--key", p.path("bake.pub")},
	} {
		_, talk := p.kiln(1, args...)
		if strings.Count(talk, "hint:") != 1 || !strings.Contains(talk, "SSL_CERT_FILE names") || strings.Contains(talk, "running") {
			t.Errorf("%s: %s", args[0], talk)
		}
	}
}

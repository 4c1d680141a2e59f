//go:build full

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiln/bake"
)

// dependencies are images whose steps install what other ecosystems publish.
const dependencies = `
project = "acme"
variable "registry" {}
variable "proxy"    { default = "" }
variable "network"  { default = "host" }

image "base" {
  tier = "base"
  debian {
    suite    = "bookworm"
    packages = ["nodejs", "python3-pip"]
  }
}

# The same twice, but for a variable: another step with the same outcome. What
# pip compiles names the temporary folder that --target goes through.
image "py" {
  for_each = toset(["one", "two"])
  tier     = "app"
  from     = image.base
  copy {
    source = "requirements.txt"
    target = "/srv/"
  }
  run {
    command = ["pip", "install", "--require-hashes", "--no-index", "--find-links", "/wheels", "--no-compile", "--target", "/srv/lib", "-r", "/srv/requirements.txt"]
    env     = { INSTANCE = each.key, PIP_ROOT_USER_ACTION = "ignore" }
    bind {
      source = "wheels"
      target = "/wheels"
    }
  }
  config { env = { PYTHONPATH = "/srv/lib" } }
  test "imports" {
    command = ["python3", "-c", "import kiln_demo; print(kiln_demo.ANSWER)"]
    stdout  = "^42\n$"
  }
}

image "js" {
  tier = "app"
  from = image.base
  copy {
    source = "app"
    target = "/srv/app"
  }
  run {
    command = ["node", "/npm/bin/npm-cli.js", "ci", "--ignore-scripts"]
    workdir = "/srv/app"
    network = var.network
    env = {
      npm_config_registry      = var.registry
      npm_config_cache         = "/tmp/npm"
      npm_config_fetch_retries = "0"
      npm_config_https_proxy   = var.proxy
      NODE_EXTRA_CA_CERTS      = "/ca.crt"
    }
    bind {
      source = "npm/package"
      target = "/npm"
    }
    bind {
      source = "ca.crt"
      target = "/ca.crt"
    }
  }
  config { workdir = "/srv/app" }
  test "requires" {
    command = ["node", "-e", "console.log(require('left-pad')('7', 3, '0'))"]
    stdout  = "^007\n$"
  }
}
`

// TestDependencies installs with npm ci, from the registry that this host is
// configured for, and with pip from a folder of wheels, without a network.
func TestDependencies(t *testing.T) {
	w := newWorld(t)
	dir := w.mkdir("deps")
	w.put("deps/kiln.hcl", []byte(dependencies))
	wheel := makeWheel(t)
	w.put("deps/wheels/kiln_demo-1.0-py3-none-any.whl", wheel)
	w.put("deps/requirements.txt", fmt.Appendf(nil, "kiln-demo==1.0 --hash=sha256:%x\n", sha256.Sum256(wheel)))
	w.npm(dir)
	registry := strings.TrimSpace(string(w.must(exec.Command("npm", "config", "get", "registry"))))
	args := []string{"bake", "deps", "--json", "--var", "registry=" + registry, "--var", "proxy=" + os.Getenv("HTTPS_PROXY")}
	w.keys("bake")
	args = append(args, "--key", "bake.key", "--allow-dirty")

	var report bakeReport
	if err := json.Unmarshal(w.run(args...), &report); err != nil {
		t.Fatal(err)
	}
	installed, networks := map[string]string{}, w.networks()
	for _, img := range report.Images {
		installed[img.Image] = string(img.Layers[len(img.Layers)-1].Digest)
		want := "none"
		if img.Image == "acme/js" {
			want = "host" // not hermetic
		}
		if got := networks[img.Digest.Encoded()]; got != want {
			t.Errorf("%s: the provenance says network %q, want %q", img.Image, got, want)
		}
	}
	if one, two := installed["acme/py-one"], installed["acme/py-two"]; one == "" || one != two {
		t.Errorf("pip made %s, and then %s", one, two)
	}

	t.Run("npm without a network", func(t *testing.T) {
		out, err := w.command(nil, append(args, "--target", "js", "--var", "network=none")...).CombinedOutput()
		for _, want := range []string{
			"npm-cli.js ci", "exit status 1", "the step has no network",
			`hint: steps run with network = "none"`, `say network = "host"`,
		} {
			// Under --json the hint is part of a JSON text.
			if text := strings.ReplaceAll(string(out), `\"`, `"`); err == nil || !strings.Contains(text, want) {
				t.Errorf("%v; no %s in\n%s", err, want, out)
			}
		}
	})
	t.Run("pip with another wheel", func(t *testing.T) {
		w.put("deps/wheels/kiln_demo-1.0-py3-none-any.whl", append(wheel, 0))
		out, err := w.command(nil, append(args, "--target", "py-one")...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "HASHES") || strings.Contains(string(out), "has no network") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// put writes a file of the world with its folders.
func (w *world) put(name string, data []byte) {
	w.t.Helper()
	w.mkdir(filepath.Dir(name))
	if err := os.WriteFile(w.path(name), data, 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// npm gets npm itself, an application with a lock, and the certificates that
// this host trusts: it may stand behind a proxy with its own.
func (w *world) npm(dir string) {
	w.t.Helper()
	host := func(dir string, args ...string) {
		cmd := exec.Command("npm", args...)
		cmd.Dir = dir
		w.must(cmd)
	}
	w.mkdir("deps/npm")
	host(dir, "pack", "npm@10.8.2", "--pack-destination", w.path("deps/npm"))
	w.must(exec.Command("tar", "-xzf", w.path("deps/npm/npm-10.8.2.tgz"), "-C", w.path("deps/npm")))
	w.put("deps/app/package.json", []byte(`{"name":"app","version":"1.0.0","dependencies":{"left-pad":"1.3.0"}}`))
	host(w.path("deps/app"), "install", "--package-lock-only", "--ignore-scripts")
	bundle := os.Getenv("SSL_CERT_FILE")
	if bundle == "" {
		bundle = "/etc/ssl/certs/ca-certificates.crt"
	}
	data, err := os.ReadFile(bundle)
	if err != nil {
		w.t.Fatal(err)
	}
	w.put("deps/ca.crt", data)
}

// networks are what the signed provenances of the store say about the network
// of the steps, by the image's digest in hex.
func (w *world) networks() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(w.path("store", "blobs"), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var bundle struct{ DSSEEnvelope struct{ Payload []byte } }
		var statement struct {
			PredicateType string
			Subject       []struct{ Digest map[string]string }
			Predicate     struct {
				BuildDefinition struct {
					InternalParameters struct{ Network string }
				}
			}
		}
		if json.Unmarshal(data, &bundle) == nil && json.Unmarshal(bundle.DSSEEnvelope.Payload, &statement) == nil &&
			statement.PredicateType == bake.ProvenancePredicate {
			found[statement.Subject[0].Digest["sha256"]] = statement.Predicate.BuildDefinition.InternalParameters.Network
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}

// makeWheel makes a package of one module (the binary distribution format of
// packaging.python.org).
func makeWheel(t *testing.T) []byte {
	t.Helper()
	files := [][2]string{
		{"kiln_demo.py", "ANSWER = 42\n"},
		{"kiln_demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: kiln-demo\nVersion: 1.0\n"},
		{"kiln_demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	}
	record := ""
	for _, f := range files {
		sum := sha256.Sum256([]byte(f[1]))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", f[0], base64.RawURLEncoding.EncodeToString(sum[:]), len(f[1]))
	}
	files = append(files, [2]string{"kiln_demo-1.0.dist-info/RECORD", record + "kiln_demo-1.0.dist-info/RECORD,,\n"})
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, f := range files {
		part, err := z.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

//go:build full && peers

package main

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kiln/registry/promotion"
	"kiln/sign"
)

const vaultTemplate = `
project = "acme"
image "files" {
  tier = "base"
  copy {
    source = "srv"
    target = "/srv"
  }
}
`

// TestPeersVault signs and promotes with keys that HashiCorp Vault holds, at
// the command line and in a server, and rotates one under way.
func TestPeersVault(t *testing.T) {
	s := &served{world: newWorld(t), key: "hashivault://promote"}
	s.startVault()
	s.run("keygen", "--kms", "hashivault://bake", "--output-prefix", "bake")
	s.run("keygen", "--kms", "hashivault://promote", "--output-prefix", "promote")
	s.mkdir("app/srv")
	for name, content := range map[string]string{"app/kiln.hcl": vaultTemplate, "app/srv/index.html": "one", "root.json": sign.CosignTrustedRoot} {
		if err := os.WriteFile(s.path(name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.commit("app")
	s.start()
	s.env = append(s.env, "KILN_STORE="+s.url, "KILN_KEY=hashivault://bake")
	if err := json.Unmarshal(s.run("bake", "app", "--promote", "dev", "--json"), &s.report); err != nil {
		t.Fatal(err)
	}
	image := s.image("acme/files")
	name := "acme/files@" + string(image.Digest)

	for _, key := range []string{"bake.pub", "hashivault://bake"} {
		s.run("verify", name, "--key", key)
		s.ask("cosign", append([]string{"verify", "--key", key, s.ref("acme/files")}, offline...)...)
	}
	s.run("keygen", "--output-prefix", "other")
	s.refused(s.peer("cosign", append([]string{"verify", "--key", "other.pub", s.ref("acme/files")}, offline...)...))
	s.run("promote", name, "--to", "staging")
	s.run("resolve", "acme/files", "--channel", "staging", "--verify-key", "bake.pub", "--promotion-key", "promote.pub")

	// Embedded, with the same keys.
	embedded := []string{"--store", s.path("embedded")}
	s.run(append([]string{"bake", "app", "--promote", "dev", "--promotion-key", "hashivault://promote"}, embedded...)...)
	s.run(append([]string{"resolve", "acme/files", "--channel", "dev", "--verify-key", "bake.pub", "--promotion-key", "promote.pub"}, embedded...)...)

	s.vaultRefuses(name)

	// Rotated in Vault: the server goes on with the key that it was started
	// with; what starts anew has the next, which the trust does not list.
	s.ask("vault", "write", "-f", "transit/keys/promote/rotate")
	s.run("promote", name, "--to", "prod")
	s.run("renew", "acme/files")
	s.run("resolve", "acme/files", "--channel", "prod", "--verify-key", "bake.pub", "--promotion-key", "promote.pub")
	rotated := append([]string{"promote", name, "--to", "staging", "--promotion-key", "hashivault://promote"}, embedded...)
	if out := s.exits(exitDenied, rotated...); !strings.Contains(out, "not trusted to promote") {
		t.Errorf("with the next version of the key: %s", out)
	}
	s.run(append([]string{"trust", "add", "hashivault://promote", "--role", "promote"}, embedded...)...)
	var p promotion.Promotion
	s.read(&p, rotated...)
	if p.Channel != "staging" {
		t.Errorf("both versions listed: %+v", p)
	}

	s.ask("vault", "operator", "seal")
	if out := s.exits(exitError, "sign", name); !strings.Contains(out, "sealed") {
		t.Errorf("a sealed Vault: %s", out)
	}
}

// vaultRefuses tries what Vault does not give.
func (s *served) vaultRefuses(name string) {
	s.t.Helper()
	if out := s.exits(exitError, "sign", name, "--key", "hashivault://none"); !strings.Contains(out, "no such key; kiln keygen --kms makes it") {
		s.t.Errorf("no such key: %s", out)
	}
	s.ask("vault", "write", "-f", "transit/keys/large", "type=ecdsa-p384")
	if out := s.exits(exitError, "sign", name, "--key", "hashivault://large"); !strings.Contains(out, "take ECDSA P-256") {
		s.t.Errorf("a P-384 key: %s", out)
	}
	token := s.ask("vault", "token", "create", "-policy=default", "-field=token")
	out, err := s.command([]string{"VAULT_TOKEN=" + token}, "sign", name).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the token needs read on") || strings.Contains(string(out), token) {
		s.t.Errorf("a token that may not: %v %s", err, out)
	}
}

// startVault starts a Vault in dev mode, with the transit engine.
func (s *served) startVault() {
	s.t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	s.env = append(s.env, "VAULT_ADDR=http://"+address, "VAULT_TOKEN=root", "VAULT_NAMESPACE=")
	vault := s.peer("vault", "server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-listen-address="+address)
	log, err := os.Create(s.path("vault.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	vault.Stdout, vault.Stderr = log, log
	if err := vault.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { vault.Wait(); close(ended) }()
	s.t.Cleanup(func() { vault.Process.Kill(); <-ended })
	s.untilUp("http://"+address+"/v1/sys/health", vault, ended)
	s.ask("vault", "secrets", "enable", "transit")
}

// untilUp waits until an address answers well.
func (s *served) untilUp(url string, server *exec.Cmd, ended chan struct{}) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			log, _ := os.ReadFile(s.path("vault.log"))
			s.t.Fatalf("%s ended:\n%s", server.Path, log)
		default:
		}
		res, err := http.Get(url)
		if err != nil {
			continue
		}
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			return
		}
	}
	s.t.Fatalf("%s does not answer", url)
}

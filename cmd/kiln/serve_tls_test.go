package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate makes a pair for loopback that signs itself, and serves as
// an authority and a client too.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "kiln test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// startTLS serves with a pair whose serial is 1.
func startTLS(t *testing.T, more string) *running {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, filepath.Join(dir, "c"), filepath.Join(dir, "k"), 1)
	files := map[string]string{"tls.crt": readFile(t, filepath.Join(dir, "c")), "tls.key": readFile(t, filepath.Join(dir, "k"))}
	return startServe(t, "tls {\n  cert = \"tls.crt\"\n  key = \"tls.key\"\n"+more+"}\n", files)
}

// dial makes a handshake and tells the serial of the pair in use.
func (r *running) dial(c *tls.Config) (serial int64, state tls.ConnectionState, err error) {
	conn, err := tls.Dial("tcp", r.address(), c)
	if err != nil {
		return 0, state, err
	}
	defer conn.Close()
	state = conn.ConnectionState()
	// In TLS 1.3 a client learns by reading that its certificate is refused.
	conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); err != nil && !os.IsTimeout(err) {
		return 0, state, err
	}
	return state.PeerCertificates[0].SerialNumber.Int64(), state, nil
}

func TestTLSReload(t *testing.T) {
	r := startTLS(t, "")
	trusting := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	expect := func(want int64) {
		t.Helper()
		eventually(t, "the certificate", func() bool {
			serial, state, err := r.dial(trusting)
			if err != nil || state.NegotiatedProtocol != "h2" {
				t.Fatalf("%v, protocol %q", err, state.NegotiatedProtocol)
			}
			return serial == want
		})
	}
	expect(1)
	if !strings.HasPrefix(r.url, "https://127.0.0.1:") {
		t.Errorf("address %s", r.url)
	}
	cert, key := filepath.Join(r.dir, "tls.crt"), filepath.Join(r.dir, "tls.key")
	writeCertificate(t, cert, key, 2)
	expect(2) // by itself
	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a line about the broken pair", func() bool { return strings.Contains(r.lines.String(), "the one before stays in use") })
	expect(2)
	writeCertificate(t, cert, filepath.Join(r.dir, "other.key"), 3) // does not fit the key
	eventually(t, "a second line", func() bool { return strings.Count(r.lines.String(), "the one before stays in use") >= 2 })
	expect(2)
	writeCertificate(t, cert, key, 4)
	expect(4)
}

func TestTLSVersions(t *testing.T) {
	r := startTLS(t, "")
	if _, _, err := r.dial(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is taken")
	}
	if _, _, err := r.dial(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	r = startTLS(t, "min_version = \"1.3\"\n")
	if _, _, err := r.dial(&tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12}); err == nil {
		t.Error("TLS 1.2 is taken below the minimum")
	}
}

func TestTLSClients(t *testing.T) {
	r := startTLS(t, "client_ca = \"tls.crt\"\n")
	if _, _, err := r.dial(&tls.Config{InsecureSkipVerify: true}); err == nil {
		t.Error("a client without a certificate is let in")
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(r.dir, "tls.crt"), filepath.Join(r.dir, "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}}}
	if resp, _ := r.send(c, "GET", "/v2/", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("a client with a certificate gets %s", resp.Status)
	}
}

func TestTLSRefusesAtStart(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c"), filepath.Join(dir, "k")
	writeCertificate(t, cert, key, 1)
	writeCertificate(t, filepath.Join(dir, "c2"), filepath.Join(dir, "k2"), 1)
	if _, err := (tlsConfig{cert: cert, key: filepath.Join(dir, "k2")}).load(); err == nil {
		t.Error("a key of another certificate is taken")
	}
	if _, err := (tlsConfig{cert: cert, key: key, clientCA: key}).load(); err == nil {
		t.Error("authorities without a certificate are taken")
	}
}

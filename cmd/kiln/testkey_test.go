package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"path/filepath"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// madeKeys has the pair of each name and password, once made.
var madeKeys sync.Map

// testKey writes PREFIX.key and PREFIX.pub for a test that needs some key and
// not keygen: the same pair for the same name and password, in the cheapest form
// that cosign ever wrote. Opening it, which each command does that signs, takes
// half as long as of a new one.
func testKey(prefix, password string) error {
	type id struct{ name, password string }
	type pair struct{ private, public []byte }
	make, _ := madeKeys.LoadOrStore(id{filepath.Base(prefix), password}, sync.OnceValues(func() (pair, error) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return pair{}, err
		}
		private, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return pair{}, err
		}
		sealed, err := encrypted.EncryptWithCustomKDFParameters(private, []byte(password), encrypted.Legacy)
		if err != nil {
			return pair{}, err
		}
		public, err := x509.MarshalPKIXPublicKey(key.Public())
		return pair{
			pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}),
			pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		}, err
	}))
	p, err := make.(func() (pair, error))()
	if err != nil {
		return err
	}
	return errors.Join(writeNew(prefix+".key", p.private, 0o600), writeNew(prefix+".pub", p.public, 0o644))
}

// keysCommand is keys PREFIX…: testKey with COSIGN_PASSWORD.
func keysCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: keys PREFIX…")
	}
	for _, prefix := range args {
		ts.Check(testKey(ts.MkAbs(prefix), ts.Getenv("COSIGN_PASSWORD")))
	}
}

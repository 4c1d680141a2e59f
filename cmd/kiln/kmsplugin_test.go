package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
)

// kmsPlugin is sigstore-kms-kilntest, a key service plugin (sigstore's protocol
// v1) that keeps the key of kilntest://PATH in the file PATH.
func kmsPlugin() {
	answer, err := kmsAnswer(os.Args)
	if err != nil {
		answer = map[string]any{"errorMessage": err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		os.Exit(1)
	}
}

func kmsAnswer(args []string) (map[string]any, error) {
	var asked struct {
		InitOptions struct{ KeyResourceID string }
		MethodName  string
	}
	if len(args) != 3 || args[1] != "v1" {
		return nil, fmt.Errorf("usage: %s v1 JSON", args[0])
	}
	if err := json.Unmarshal([]byte(args[2]), &asked); err != nil {
		return nil, err
	}
	path := asked.InitOptions.KeyResourceID
	if asked.MethodName == "createKey" {
		public, err := makeKMSKey(path)
		return map[string]any{"createKey": map[string]any{"publicKeyPEM": public}}, err
	}
	der, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("no key in this slot")
	}
	key, err := x509.ParseECPrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch asked.MethodName {
	case "publicKey":
		public, err := kmsPublic(key)
		return map[string]any{"publicKey": map[string]any{"publicKeyPEM": public}}, err
	case "signMessage":
		message, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(message)
		sig, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
		return map[string]any{"signMessage": map[string]any{"signature": sig}}, err
	}
	return nil, fmt.Errorf("method %s is not known here", asked.MethodName)
}

func makeKMSKey(path string) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, der, 0o600); err != nil {
		return nil, err
	}
	return kmsPublic(key)
}

func kmsPublic(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), err
}

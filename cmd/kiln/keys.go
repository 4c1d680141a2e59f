package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kiln/sign"
)

// password answers what opens a private key: COSIGN_PASSWORD, empty if unset.
func (a *app) password() ([]byte, error) { return []byte(a.getenv("COSIGN_PASSWORD")), nil }

// loadKey opens the key of a file or a key service; nil for "".
func (a *app) loadKey(ctx context.Context, ref string) (*sign.Signer, error) {
	if ref == "" {
		return nil, nil
	}
	s, err := sign.LoadSigner(ctx, ref, a.password)
	if errors.Is(err, sign.ErrKeyPassword) && a.getenv("COSIGN_PASSWORD") == "" {
		return nil, withHint(exitError, err, "COSIGN_PASSWORD is not set, which stands for an empty password")
	}
	return s, err
}

// promotionSigner loads the key of --promotion-key or KILN_PROMOTION_KEY, or
// the one that was made for this user; nil if there is none of these.
func (a *app) promotionSigner(ctx context.Context, flag string) (*sign.Signer, error) {
	if path := firstOf(flag, a.getenv("KILN_PROMOTION_KEY")); path != "" {
		return a.loadKey(ctx, path)
	}
	path, err := a.promotionKeyPath()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return a.loadKey(ctx, path)
}

// promotionKeyPath is where a promotion key is made: beside the user's
// configuration and never inside a store.
func (a *app) promotionKeyPath() (string, error) {
	dir, err := a.configDir()
	return filepath.Join(dir, "promotion.key"), err
}

// makePromotionKey makes the key that promotionSigner finds from then on.
func (a *app) makePromotionKey(ctx context.Context) (*sign.Signer, error) {
	path, err := a.promotionKeyPath()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	password, err := a.password()
	if err != nil {
		return nil, err
	}
	err = writeKeyPair(strings.TrimSuffix(path, ".key"), password)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	if err == nil {
		a.say("made a promotion key: %s (public half: promotion.pub beside it)", path)
	}
	return a.loadKey(ctx, path)
}

// writeKeyPair writes PREFIX.key and PREFIX.pub and replaces neither.
func writeKeyPair(prefix string, password []byte) error {
	private, public, err := sign.GenerateKey(password)
	if err != nil {
		return err
	}
	if err := writeNew(prefix+".key", private, 0o600); err != nil {
		return err
	}
	if err := writeNew(prefix+".pub", public, 0o644); err != nil {
		return errors.Join(err, os.Remove(prefix+".key"))
	}
	return nil
}

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return errors.Join(err, os.Remove(path))
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return errors.Join(err, os.Remove(path))
	}
	return f.Close()
}

// publicKeys reads public keys: files, or keys of a key service.
func publicKeys(ctx context.Context, refs []string) ([][]byte, error) {
	var pems [][]byte
	for _, ref := range refs {
		pem, err := publicKey(ctx, ref)
		if err != nil {
			return nil, err
		}
		pems = append(pems, pem)
	}
	return pems, nil
}

func publicKey(ctx context.Context, ref string) ([]byte, error) {
	if sign.IsKeyURI(ref) {
		return sign.PublicKey(ctx, ref)
	}
	pem, err := os.ReadFile(ref)
	if err != nil {
		return nil, fmt.Errorf("read public key: %w", err)
	}
	return pem, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

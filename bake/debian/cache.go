package debian

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Cache is a folder of files named by the sha256 of their content:
// DIR/sha256/<first two digits>/<all digits>. Files appear there whole or not
// at all, so several processes may share one. What is read from it is hashed
// again: a damaged file is a miss.
type Cache struct{ Dir string }

// errMismatch is wrapped when bytes are not those that were asked for.
var errMismatch = errors.New("hash sum mismatch")

// Path says where the file with this sha256 (64 hexadecimal digits in lower
// case) lies or would lie.
func (c Cache) Path(sha256 string) string {
	return filepath.Join(c.Dir, "sha256", sha256[:2], sha256)
}

// Find returns the path of a file that is there and whose content is right. A
// file that is damaged is removed and not found. A size below zero is unknown.
func (c Cache) Find(sha256 string, size int64) (string, bool) {
	path := c.Path(sha256)
	f, err := os.Open(path)
	if err != nil {
		return "", false
	}
	defer f.Close()
	if err := copyVerified(io.Discard, f, sha256, size); err != nil {
		if errors.Is(err, errMismatch) {
			os.Remove(path)
		}
		return "", false
	}
	return path, true
}

// Add stores what r delivers under its sha256 and returns the path. Content
// of another hash or size is an error and leaves nothing behind; no more than
// size bytes are taken. A size below zero is unknown.
func (c Cache) Add(sha256 string, size int64, r io.Reader) (string, error) {
	path := c.Path(sha256)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	defer os.Remove(f.Name()) // fails once renamed
	if err := copyVerified(f, r, sha256, size); err != nil {
		f.Close()
		return "", err
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return "", fmt.Errorf("cache: %w", err)
	}
	return path, nil
}

// copyVerified copies r to w and compares size and hash of what passed.
func copyVerified(w io.Writer, r io.Reader, want string, size int64) error {
	sum := sha256.New()
	if size >= 0 {
		r = io.LimitReader(r, size+1)
	}
	n, err := io.Copy(io.MultiWriter(w, sum), r)
	if err != nil {
		return err
	}
	if size >= 0 && n != size {
		if n > size {
			return fmt.Errorf("%w: longer than %d bytes", errMismatch, size)
		}
		return fmt.Errorf("%w: %d bytes, want %d", errMismatch, n, size)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("%w: sha256 is %s, want %s", errMismatch, got, want)
	}
	return nil
}

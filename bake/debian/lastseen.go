package debian

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// statePath is the file that remembers the newest release seen of a source.
func statePath(dir string, s Source) string {
	id := sum([]byte(strings.TrimSuffix(s.Mirror, "/") + "\n" + s.Suite))
	return filepath.Join(dir, "release-"+id[:32])
}

// lastSeen is the date of the newest release seen, zero when there is none.
func lastSeen(dir string, s Source) (time.Time, error) {
	if dir == "" {
		return time.Time{}, nil
	}
	path := statePath(dir, s)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	} else if err != nil {
		return time.Time{}, fmt.Errorf("last release seen: %w", err)
	}
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(data)))
	if err != nil {
		return time.Time{}, fmt.Errorf("last release seen: %s is damaged: remove it", path)
	}
	return t, nil
}

// checkNotOlder refuses a release that is older than one seen before: a
// signed state of the past is how known holes are kept open.
func checkNotOlder(dir string, s Source, date time.Time) error {
	seen, err := lastSeen(dir, s)
	if err != nil || !date.Before(seen) {
		return err
	}
	return fmt.Errorf("release of %s is older than the one of %s seen before: the mirror is behind or somebody replays an old state; "+
		"if that is meant, remove %s", date.Format(time.RFC3339), seen.Format(time.RFC3339), statePath(dir, s))
}

// absentBefore refuses the absence of an optional source that was there once.
func absentBefore(dir string, s Source) error {
	seen, err := lastSeen(dir, s)
	if err != nil || seen.IsZero() {
		return err
	}
	return fmt.Errorf("the mirror no longer has it, and had one of %s: if that is meant, remove %s",
		seen.Format(time.RFC3339), statePath(dir, s))
}

// remember keeps the date of a release unless a newer one is known.
func remember(dir string, s Source, date time.Time) error {
	seen, err := lastSeen(dir, s)
	if dir == "" || err != nil || !date.After(seen) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("last release seen: %w", err)
	}
	f, err := os.CreateTemp(dir, ".tmp-*")
	if err != nil {
		return fmt.Errorf("last release seen: %w", err)
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.WriteString(date.UTC().Format(time.RFC3339) + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("last release seen: %w", err)
	}
	if err := os.Rename(f.Name(), statePath(dir, s)); err != nil {
		return fmt.Errorf("last release seen: %w", err)
	}
	return nil
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}

package promotion

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Seen remembers in a folder the newest statement that was accepted of each
// channel, so that an older one, replayed, is refused. Safe for concurrent use,
// also by several processes of a user.
type Seen struct{ Dir string }

// Mark is what is remembered of a statement.
type Mark struct {
	StoreID  string    `json:"store_id"`
	Image    string    `json:"image"`
	Channel  string    `json:"channel"`
	Sequence int64     `json:"sequence"`
	Issued   time.Time `json:"issued"`
}

// before says whether m is older than o, of the same channel.
func (m Mark) before(o Mark) bool {
	if m.Sequence != o.Sequence {
		return m.Sequence < o.Sequence
	}
	return m.Issued.Before(o.Issued)
}

// Load returns what was accepted last of a channel; the zero Mark for nothing.
func (s *Seen) Load(storeID, image, channel string) (Mark, error) {
	content, err := os.ReadFile(s.path(storeID, image, channel))
	if errors.Is(err, fs.ErrNotExist) {
		return Mark{}, nil
	}
	if err != nil {
		return Mark{}, err
	}
	var m Mark
	if err := json.Unmarshal(content, &m); err != nil || m.StoreID != storeID || m.Image != image || m.Channel != channel {
		return Mark{}, fmt.Errorf("%s is damaged; remove it to trust the next answer for %s %s", s.path(storeID, image, channel), image, channel)
	}
	return m, nil
}

// Advance remembers m: KindVerification if something newer was seen before.
// What it remembers survives a crash.
func (s *Seen) Advance(m Mark) error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(s.Dir, "lock"), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	defer lock.Close() // gives the lock back
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	last, err := s.Load(m.StoreID, m.Image, m.Channel)
	if err != nil {
		return err
	}
	if m.before(last) {
		return replayed(m, last)
	}
	if !last.before(m) {
		return nil
	}
	return s.save(m)
}

// replayed is the refusal of a statement older than one that was seen.
func replayed(m, last Mark) error {
	return errorf(KindVerification, "the statement of %s %s is older (sequence %d, issued %s) than one seen before (sequence %d, issued %s)",
		m.Image, m.Channel, m.Sequence, m.Issued.Format(time.RFC3339), last.Sequence, last.Issued.Format(time.RFC3339)).
		hinted("the server may replay an old answer, or was restored from a backup: ask the one who runs it")
}

func (s *Seen) save(m Mark) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Dir, ".mark-*")
	if err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	defer os.Remove(f.Name()) // after the rename there is nothing left
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.path(m.StoreID, m.Image, m.Channel))
	}
	if err == nil {
		err = syncDir(s.Dir)
	}
	if err != nil {
		return fmt.Errorf("remember what was seen: %w", err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// path is the file of a channel: names are hashed, so none is a path.
func (s *Seen) path(storeID, image, channel string) string {
	key, _ := json.Marshal([]string{storeID, image, channel}) // strings always marshal
	return filepath.Join(s.Dir, digest.FromBytes(key).Encoded()+".json")
}

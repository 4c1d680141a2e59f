package access

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// users are the users of an htpasswd file, read again when it changes. Safe for
// concurrent use; a nil one has no users.
type users struct {
	file   string
	grants map[string][]Grant
	now    func() time.Time
	log    *slog.Logger
	salt   []byte        // of the keys of passed
	slots  chan struct{} // a place for each hash that is computed
	queue  chan struct{} // a place for each login that has a slot or waits for one

	mu      sync.Mutex
	looked  time.Time   // when the file was looked at last
	info    os.FileInfo // of what was read
	hashes  map[string][]byte
	dummy   []byte // hash of nothing, for users that there are not
	passed  map[[sha256.Size]byte]time.Time
	failing string // what was said of the file last
}

// Bounds of an htpasswd file and of what is remembered.
const (
	maxHtpasswd   = 4 << 20 // bytes
	maxCost       = 14      // a hash takes a second of CPU
	maxPassword   = 72      // bytes that bcrypt sees
	lookEvery     = time.Second
	passedFor     = time.Minute
	maxPassed     = 10_000
	maxQueue      = 64 // logins that wait: far fewer than a server takes requests
	dummyPassword = "no password"
)

// userName is what a user may be called: never like another kind of identity.
var userName = pattern(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$`)

func openUsers(file string, grants map[string][]Grant, now func() time.Time, log *slog.Logger) (*users, error) {
	u := &users{
		file: file, grants: grants, now: now, log: log, salt: make([]byte, sha256.Size),
		slots:  make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		queue:  make(chan struct{}, maxQueue),
		passed: map[[sha256.Size]byte]time.Time{},
	}
	rand.Read(u.salt) // never fails
	if err := u.read(); err != nil {
		return nil, err
	}
	for name := range grants {
		if u.hashes[name] == nil {
			log.Warn("a user has grants and is not in the htpasswd file", "user", name)
		}
	}
	return u, nil
}

// read reads the file and swaps its users in, or leaves all as it is.
func (u *users) read() error {
	f, err := os.Open(u.file)
	if err != nil {
		return fmt.Errorf("htpasswd: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("htpasswd: %w", err)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxHtpasswd+1))
	if err != nil {
		return fmt.Errorf("htpasswd: %w", err)
	}
	hashes, cost, err := parseHtpasswd(content)
	if err != nil {
		return fmt.Errorf("htpasswd %s: %w", u.file, err)
	}
	if u.dummy == nil || costOf(u.dummy) != cost {
		if u.dummy, err = bcrypt.GenerateFromPassword([]byte(dummyPassword), cost); err != nil {
			return fmt.Errorf("htpasswd: %w", err)
		}
	}
	u.hashes, u.info = hashes, info
	return nil
}

func costOf(hash []byte) int {
	cost, err := bcrypt.Cost(hash)
	if err != nil {
		return 0
	}
	return cost
}

// CheckHtpasswd lists the users of an htpasswd file, and all that is wrong with
// it: then a gate takes none of its lines.
func CheckHtpasswd(file string) (names []string, problems []error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, []error{err}
	}
	hashes, _, problems := scanHtpasswd(content)
	return slices.Sorted(maps.Keys(hashes)), problems
}

// parseHtpasswd reads lines user:hash, all or none. cost is the highest.
func parseHtpasswd(content []byte) (hashes map[string][]byte, cost int, err error) {
	hashes, cost, problems := scanHtpasswd(content)
	if len(problems) > 0 {
		return nil, 0, problems[0]
	}
	return hashes, cost, nil
}

// scanHtpasswd reads lines user:hash. Only bcrypt is taken: what else htpasswd
// writes is guessed in minutes. A user whose line is wrong is listed all the
// same, without a hash.
func scanHtpasswd(content []byte) (hashes map[string][]byte, cost int, problems []error) {
	if len(content) > maxHtpasswd {
		return nil, 0, []error{fmt.Errorf("more than %d bytes", maxHtpasswd)}
	}
	hashes, cost = map[string][]byte{}, bcrypt.MinCost
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		c := costOf([]byte(hash))
		switch {
		case !userName().MatchString(name) || name == AnonymousName:
			wrong("line %d: not a user's name: letters, digits, . _ @ and -", n)
		case hashes[name] != nil:
			wrong("line %d: the user %s is there twice", n, name)
		case !strings.HasPrefix(hash, "$2") || len(hash) != 60 || c == 0:
			hashes[name] = []byte{}
			wrong("line %d: the user %s has no bcrypt hash; kiln htpasswd or htpasswd -B makes one", n, name)
		case c > maxCost:
			hashes[name] = []byte{}
			wrong("line %d: the hash of user %s has cost %d; more than %d lets anybody keep the server busy", n, name, c, maxCost)
		default:
			hashes[name], cost = []byte(hash), max(cost, c)
		}
	}
	if err := lines.Err(); err != nil {
		problems = append(problems, err)
	}
	return hashes, cost, problems
}

// look reads the file again if it changed. One that cannot be read leaves the
// users as they were, and is told once.
func (u *users) look() {
	now := u.now()
	if since := now.Sub(u.looked); since >= 0 && since < lookEvery {
		return
	}
	u.looked = now
	info, err := os.Stat(u.file)
	if err == nil {
		if u.info != nil && os.SameFile(info, u.info) && info.ModTime().Equal(u.info.ModTime()) && info.Size() == u.info.Size() {
			return
		}
		err = u.read()
	}
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != u.failing && err != nil {
		u.log.Error("the users stay as they were", "err", err)
	}
	u.failing = said
}

// hash is a user's hash, and the dummy for who is none.
func (u *users) hash(name string) (hash []byte, known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.look()
	if h := u.hashes[name]; h != nil {
		return h, true
	}
	return u.dummy, false
}

// printOf names a password hash without telling it.
func printOf(name string, hash []byte) string {
	sum := sha256.Sum256([]byte("kiln user\x00" + name + "\x00" + string(hash)))
	return hex.EncodeToString(sum[:16])
}

// current is what a user may do whose password hash still has that print.
func (u *users) current(name, print string) ([]Grant, error) {
	if u == nil {
		return nil, errInvalid
	}
	hash, known := u.hash(name)
	if !known || printOf(name, hash) != print {
		return nil, errInvalid
	}
	return u.grants[name], nil
}

// errBusy is of a login that has to wait its turn.
var errBusy = errors.New("too many logins at once, or too many that failed; try again in a minute")

// login is the identity of a user; errInvalid for a wrong password, errBusy
// where from too many were wrong, or too many wait already: guessing holds up
// nobody but who logs in with a password (FAULTS 22). A password that was right is remembered for a
// minute, by a keyed hash, as long as the user's line stays the same.
func (u *users) login(ctx context.Context, f *failures, from, name, password string) (Identity, proof, error) {
	hash, known := u.hash(name)
	key := u.key(name, password, hash)
	if u.remembers(key) {
		return u.identity(name, hash)
	}
	if f.tooMany(name, from, u.now()) {
		return Identity{}, proof{}, errBusy
	}
	select {
	case u.queue <- struct{}{}:
		defer func() { <-u.queue }()
	default:
		return Identity{}, proof{}, errBusy
	}
	select {
	case u.slots <- struct{}{}:
		defer func() { <-u.slots }()
	case <-ctx.Done():
		return Identity{}, proof{}, ctx.Err()
	}
	if u.remembers(key) { // by who held the place
		return u.identity(name, hash)
	}
	if f.tooMany(name, from, u.now()) { // meanwhile
		return Identity{}, proof{}, errBusy
	}
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	if err != nil || !known || len(password) > maxPassword {
		f.wrong(name, from, u.now())
		return Identity{}, proof{}, errInvalid
	}
	f.forget(attempt(name, from))
	u.remember(key)
	return u.identity(name, hash)
}

func (u *users) identity(name string, hash []byte) (Identity, proof, error) {
	return Identity{Name: name, Grants: u.grants[name]}, proof{Kind: byUser, Ref: printOf(name, hash)}, nil
}

func (u *users) key(name, password string, hash []byte) [sha256.Size]byte {
	mac := hmac.New(sha256.New, u.salt)
	fmt.Fprintf(mac, "%d %s%d %s%s", len(name), name, len(password), password, hash)
	return [sha256.Size]byte(mac.Sum(nil))
}

func (u *users) remembers(key [sha256.Size]byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	until, ok := u.passed[key]
	return ok && u.now().Before(until)
}

func (u *users) remember(key [sha256.Size]byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.passed) >= maxPassed {
		clear(u.passed)
	}
	u.passed[key] = u.now().Add(passedFor)
}

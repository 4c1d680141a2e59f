package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

func TestParseHtpasswd(t *testing.T) {
	good := hashed(t, "x")
	hashes, cost, err := parseHtpasswd([]byte("# people\n\nalice:" + good + "\n  bob@example.com:" + strings.Replace(good, "$2a$", "$2y$", 1) + "  \r\n"))
	if err != nil || len(hashes) != 2 || cost != bcrypt.MinCost {
		t.Fatalf("%v %d: %v", hashes, cost, err)
	}
	for text, content := range map[string]string{
		"line 2: the user bob has no bcrypt hash": "alice:" + good + "\nbob:$apr1$abc$def",
		"line 1: the user sha has no bcrypt hash": "sha:{SHA}abc",
		"line 1: the user plain has no":           "plain:password",
		"line 1: the user none has no":            "none:",
		"line 1: the user short has no":           "short:" + good[:50],
		"line 2: the user alice is there twice":   "alice:" + good + "\nalice:" + good,
		"line 1: not a user's name":               "token:x:" + good[:10] + "\x00",
		"line 3: not a user's name":               "\n\noidc:github/x:" + good,
		"has cost 15":                             "slow:$2a$15$" + good[7:],
	} {
		if text == "line 1: not a user's name" || text == "line 3: not a user's name" {
			content = strings.Replace(content, "token:", "to ken:", 1)
			content = strings.Replace(content, "oidc:", "oi/dc:", 1)
		}
		if _, _, err := parseHtpasswd([]byte(content)); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want %s", content, err, text)
		} else if strings.Contains(err.Error(), good[20:]) || strings.Contains(err.Error(), "$apr1") {
			t.Errorf("%v shows a hash", err)
		}
	}
	for _, name := range []string{AnonymousName, "", ".x", strings.Repeat("a", 129)} {
		if _, _, err := parseHtpasswd([]byte(name + ":" + good)); err == nil {
			t.Errorf("the user %q is taken", name)
		}
	}
}

// people are users with a clock of their own.
func people(t *testing.T, lines ...string) (*users, *clock, *logBuffer) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "htpasswd")
	write(t, file, lines...)
	c, log := newClock(), &logBuffer{}
	u, err := openUsers(file, map[string][]Grant{"alice": {grant("pull", "**")}}, c.Now, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return u, c, log
}

// write replaces a file, as htpasswd does not: in one step.
func write(t *testing.T, file string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func TestLogin(t *testing.T) {
	u, _, _ := people(t, "alice:"+hashed(t, "correct"), "bob:"+hashed(t, "other"))
	login := func(name, password string) (Identity, proof, error) {
		return u.login(t.Context(), newFailures(), "192.0.2.1", name, password)
	}
	id, p, err := login("alice", "correct")
	if err != nil || id.Name != "alice" || len(id.Grants) != 1 || p.Kind != byUser || p.Ref == "" {
		t.Fatalf("%+v %+v: %v", id, p, err)
	}
	if id, _, err := login("bob", "other"); err != nil || len(id.Grants) != 0 {
		t.Errorf("bob: %+v, %v", id, err)
	}
	for name, password := range map[string]string{"alice": "wrong", "bob": "correct", "carol": "correct", "": "", "carl": dummyPassword, "ali": strings.Repeat("x", 100)} {
		if id, _, err := login(name, password); !errors.Is(err, errInvalid) {
			t.Errorf("%s with %q is %+v: %v", name, password, id, err)
		}
	}
	long := strings.Repeat("p", 72)
	u, _, _ = people(t, "alice:"+hashed(t, long))
	if _, _, err := u.login(t.Context(), newFailures(), "", "alice", long+"more"); !errors.Is(err, errInvalid) {
		t.Errorf("what bcrypt cuts off does not count: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range cap(u.slots) {
		u.slots <- struct{}{}
	}
	if _, _, err := u.login(gone, newFailures(), "", "alice", long); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left waits for its turn: %v", err)
	}
}

// A changed file counts from its next look, for passwords, for what is
// remembered of them and for sessions.
func TestReload(t *testing.T) {
	u, c, log := people(t, "alice:"+hashed(t, "one"))
	ok := func(password string) bool {
		_, _, err := u.login(t.Context(), newFailures(), "", "alice", password)
		return err == nil
	}
	_, p, err := u.login(t.Context(), newFailures(), "", "alice", "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.current("alice", p.Ref); err != nil {
		t.Error(err)
	}
	write(t, u.file, "alice:"+hashed(t, "two"), "bob:"+hashed(t, "x"))
	c.Add(lookEvery)
	if ok("one") || !ok("two") {
		t.Error("the old password counts, or the new one does not")
	}
	if _, err := u.current("alice", p.Ref); err == nil {
		t.Error("a session of the old password lives on")
	}
	write(t, u.file, "alice:"+hashed(t, "three"), "bob:broken")
	c.Add(lookEvery)
	if !ok("two") || ok("three") {
		t.Error("a broken file is taken in part")
	}
	c.Add(lookEvery)
	ok("two")
	if n := strings.Count(log.String(), "the users stay as they were"); n != 1 || !strings.Contains(log.String(), "line 2") {
		t.Errorf("told %d times: %s", n, log)
	}
	if err := os.Remove(u.file); err != nil {
		t.Fatal(err)
	}
	c.Add(lookEvery)
	if !ok("two") {
		t.Error("a file that is away for a moment locks everybody out")
	}
	write(t, u.file, "bob:"+hashed(t, "x"))
	c.Add(lookEvery)
	if ok("two") {
		t.Error("a user who was removed logs in")
	}
	if _, err := (*users)(nil).current("alice", p.Ref); !errors.Is(err, errInvalid) {
		t.Error("a session of a user counts where there are none")
	}
}

// Guessing is slowed by user and address; who knows the password meanwhile gets
// in with what is remembered.
func TestFailures(t *testing.T) {
	u, c, _ := people(t, "alice:"+hashed(t, "right"))
	f := newFailures()
	login := func(from, password string) error {
		_, _, err := u.login(t.Context(), f, from, "alice", password)
		return err
	}
	for range maxFailed - 1 {
		if err := login("here", "wrong"); !errors.Is(err, errInvalid) {
			t.Fatal(err)
		}
	}
	if err := login("here", "right"); err != nil {
		t.Fatalf("before it is too much: %v", err)
	}
	for range maxFailed {
		if err := login("here", "wrong"); !errors.Is(err, errInvalid) {
			t.Fatal(err)
		}
	}
	if err := login("here", "wrong"); !errors.Is(err, errBusy) {
		t.Errorf("guessing goes on: %v", err)
	}
	if err := login("here", "right"); err != nil {
		t.Errorf("who was in a moment ago is out: %v", err)
	}
	c.Add(passedFor)
	for range maxFailed {
		login("here", "wrong")
	}
	if err := login("here", "right"); !errors.Is(err, errBusy) {
		t.Errorf("guessing tells when it is right: %v", err)
	}
	if err := login("there", "right"); err != nil {
		t.Errorf("another address: %v", err)
	}
	c.Add(failedFor)
	if err := login("here", "right"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	for i := range 3 * maxFailedKeys {
		f.add(fmt.Sprint("user", i), c.Now())
	}
	if len(f.all) > maxFailedKeys {
		t.Errorf("%d failures are kept", len(f.all))
	}
}

// A thousand requests with a password cost one hash.
func TestRemembered(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("p"), 10)
	if err != nil {
		t.Fatal(err)
	}
	u, _, _ := people(t, "alice:"+string(hash))
	f := newFailures()
	begin := time.Now()
	for range 1000 {
		if _, _, err := u.login(t.Context(), f, "", "alice", "p"); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > 10*time.Second { // 1000 hashes take a minute
		t.Errorf("1000 logins took %v", took)
	}
	for i := range maxPassed + 10 {
		u.remember([32]byte{byte(i), byte(i >> 8), 1})
	}
	if len(u.passed) > maxPassed {
		t.Errorf("%d passwords are remembered", len(u.passed))
	}
}

// FAULTS 22: made-up users with wrong passwords keep few requests waiting, and
// an address that sends many of them is told to stop.
func TestFloodOfLogins(t *testing.T) {
	u, _, _ := people(t, "alice:"+hashed(t, "right"))
	f := newFailures()
	login := func(from, name, password string) error {
		_, _, err := u.login(t.Context(), f, from, name, password)
		return err
	}
	for i := range maxFailedFrom {
		if err := login("here", fmt.Sprint("user", i), "wrong"); !errors.Is(err, errInvalid) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if err := login("here", "another", "wrong"); !errors.Is(err, errBusy) {
		t.Errorf("the address goes on: %v", err)
	}
	for range cap(u.slots) {
		u.slots <- struct{}{}
	}
	const n = 2 * maxQueue
	results := make(chan error, n)
	for i := range n {
		go func() { results <- login(fmt.Sprint("from", i), fmt.Sprint("user", i), "wrong") }()
	}
	for range n - maxQueue {
		select {
		case err := <-results:
			if !errors.Is(err, errBusy) {
				t.Errorf("in the queue: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("all of them wait")
		}
	}
	for range cap(u.slots) {
		<-u.slots
	}
	for range maxQueue {
		if err := <-results; !errors.Is(err, errInvalid) {
			t.Errorf("after the wait: %v", err)
		}
	}
	if err := login("there", "alice", "right"); err != nil {
		t.Errorf("another address: %v", err)
	}
}

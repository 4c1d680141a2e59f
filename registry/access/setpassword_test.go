package access

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestSetPassword: one line changes, whatever the others are.
func TestSetPassword(t *testing.T) {
	const others = "# people\nold:{SHA}x\r\n\nbob:$2y$05$x"
	content, replaced, err := SetPassword([]byte(others), "ann", "one")
	if err != nil || replaced || !strings.HasPrefix(string(content), others+"\nann:$2") {
		t.Fatalf("%q, %v, %v", content, replaced, err)
	}
	again, replaced, err := SetPassword(append(content, "ann:twice\n"...), "ann", "two")
	if err != nil || !replaced || strings.Count(string(again), "\nann:") != 1 || strings.Count(string(again), "\n") != 5 {
		t.Fatalf("%q, %v, %v", again, replaced, err)
	}
	_, hash, _ := strings.Cut(strings.TrimSpace(string(again)), "\nann:")
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("two")); err != nil {
		t.Error(err)
	}
	made, _, err := SetPassword(nil, "ann", strings.Repeat("x", maxPassword))
	if err != nil {
		t.Fatal(err)
	}
	if hashes, cost, err := parseHtpasswd(made); err != nil || hashes["ann"] == nil || cost != bcrypt.DefaultCost {
		t.Errorf("the server does not take it: %v, cost %d", err, cost)
	}
	for _, c := range [][2]string{
		{"", "x"}, {"a:b", "x"}, {"a\nb", "x"}, {"#ann", "x"}, {AnonymousName, "x"}, {"ann", ""}, {"ann", strings.Repeat("x", maxPassword+1)},
	} {
		if content, _, err := SetPassword(nil, c[0], c[1]); err == nil {
			t.Errorf("%q: %q", c, content)
		}
	}
}

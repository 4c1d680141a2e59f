package access

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// SetPassword gives a user of an htpasswd file a password: it replaces the
// user's line, or adds one. The other lines stay as they are. An error for
// names and passwords that the server would not take, and for a file that would
// be larger than it reads.
func SetPassword(content []byte, user, password string) (changed []byte, replaced bool, err error) {
	switch {
	case !userName().MatchString(user) || user == AnonymousName:
		return nil, false, fmt.Errorf("%q is not a user's name: letters, digits, . _ @ and -, and not %s", clip(user), AnonymousName)
	case password == "":
		return nil, false, errors.New("the password is empty")
	case len(password) > maxPassword:
		return nil, false, fmt.Errorf("the password has %d bytes, and bcrypt sees %d", len(password), maxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, false, err
	}
	set := user + ":" + string(hash) + "\n"
	var b strings.Builder
	for line := range strings.Lines(string(content)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case name != user:
			b.WriteString(strings.TrimSuffix(line, "\n") + "\n")
		case !replaced:
			b.WriteString(set)
			replaced = true
		}
	}
	if !replaced {
		b.WriteString(set)
	}
	if b.Len() > maxHtpasswd {
		return nil, false, fmt.Errorf("an htpasswd file of more than %d bytes", maxHtpasswd)
	}
	return []byte(b.String()), replaced, nil
}

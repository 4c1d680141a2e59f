package main

import (
	"sync"

	"kiln/bake"
	"kiln/policy/secrets"
)

// secretScanner lends the rules for secrets to bakes.
type secretScanner struct {
	*secrets.Scanner
	version func() string
}

func newSecretScanner() secretScanner {
	return secretScanner{secrets.New(), sync.OnceValue(secrets.Version)}
}

// Find implements bake.Scanner.
func (s secretScanner) Find(name string, text []byte) ([]bake.Secret, error) {
	found, err := s.Scanner.Find(name, text)
	list := make([]bake.Secret, len(found))
	for i, f := range found {
		list[i] = bake.Secret(f)
	}
	return list, err
}

// Ready loads the rules.
func (s secretScanner) Ready() { _, _ = s.Scanner.Find("", nil) } // an error comes again when it matters

// Rules implements bake.Scanner.
func (s secretScanner) Rules() string { return s.version() }

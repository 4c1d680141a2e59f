package main

import (
	"net/http/httptest"
	"os"

	"github.com/rogpeppe/go-internal/testscript"

	"kiln/sign/sigstoretest"
)

// sigstoreCommand starts a Sigstore on the loopback for a script; it sets
// SIGSTORE to its address and writes its root.json and a token for
// release@acme.example.com.
func sigstoreCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: sigstore")
	}
	s, err := sigstoretest.New()
	ts.Check(err)
	server := httptest.NewServer(s)
	ts.Defer(server.Close)
	root, err := s.TrustedRoot(sigstoretest.Log, sigstoretest.Timestamps)
	ts.Check(err)
	token, err := sigstoretest.Token("https://ci.example.com", "release@acme.example.com")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("root.json"), root, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("token"), []byte(token), 0o600))
	ts.Setenv("SIGSTORE", server.URL)
}

package sign

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"kiln/sign/sigstoretest"
)

func TestCheckTokenURL(t *testing.T) {
	for address, want := range map[string]string{
		"https://fulcio.example.com":        "",
		"https://fulcio.example.com:8443/x": "",
		"http://127.0.0.1:5555":             "",
		"http://[::1]:5555":                 "",
		"http://LOCALHOST:5555":             "",
		"http://fulcio.example.com":         "in the clear",
		"http://localhost.example.com":      "in the clear",
		"http://127.0.0.1.example.com":      "in the clear",
		"http://127.0.0.1@evil.example":     "in the clear",
		"ftp://fulcio.example.com":          "not https",
		"fulcio.example.com":                "not the address",
		"https://":                          "not the address",
		"":                                  "not the address",
	} {
		err := CheckTokenURL(address)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// FAULTS 19: an identity token goes to the Fulcio that was named and to nobody
// that this one redirects to, not even at the same host.
func TestTokenFollowsNoRedirect(t *testing.T) {
	store := newSigstore(t)
	root := store.root(sigstoretest.Log, sigstoretest.Timestamps)
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		var stolen atomic.Int32
		thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "" {
				stolen.Add(1)
			}
			store.ServeHTTP(w, r)
		}))
		defer thief.Close()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL+r.URL.Path, code)
		}))
		defer server.Close()
		_, err := (&testSigstore{store.Sigstore, t, server.URL}).trySigner(robot, root)
		if err == nil || !strings.Contains(err.Error(), "it redirects") {
			t.Errorf("%d: %v", code, err)
		}
		if stolen.Load() != 0 {
			t.Errorf("%d: the token went on", code)
		}
	}
}

// FAULTS 21: what Fulcio sends back is shown on one line, short, and without
// the token that it may repeat.
func TestRefusalWithoutToken(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte("no:\n\x1b[2J" + r.Header.Get("Authorization") + strings.Repeat(" and no", 10_000)))
	}))
	defer server.Close()
	token, err := sigstoretest.Token(issuer, robot)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewKeylessSigner(context.Background(), KeylessConfig{
		FulcioURL: strings.Replace(server.URL, "http://", "http://me:hush@", 1), RekorURL: server.URL,
		TrustedRoot: newSigstore(t).root(sigstoretest.Log), Token: func(context.Context) (string, error) { return token, nil },
	})
	if err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatal(err)
	}
	for _, part := range append(strings.Split(token, ".")[1:], "hush", "\n", "\x1b") {
		if strings.Contains(err.Error(), part) {
			t.Errorf("the error holds %q", part)
		}
	}
	if len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

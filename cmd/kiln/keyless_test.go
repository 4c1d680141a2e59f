package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The secret of GitHub Actions buys a token for Fulcio, and is sent to no other
// address than the one that was named (FAULTS 19).
func TestActionsToken(t *testing.T) {
	const secret = "Bearer hush-hush-hush"
	var thief, asked int
	mux := http.NewServeMux()
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == secret && r.URL.Query().Get("audience") == "sigstore" && r.URL.Query().Get("v") == "2" {
			asked++
		}
		_, _ = w.Write([]byte(`{"value":"a.b.c"}`))
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/thief", http.StatusFound) })
	mux.HandleFunc("/thief", func(http.ResponseWriter, *http.Request) { thief++ })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{}`)) })
	mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	server := httptest.NewServer(mux)
	defer server.Close()
	for address, want := range map[string]string{
		server.URL + "/token?v=2":      "",
		server.URL + "/moved":          "it redirects",
		server.URL + "/empty":          "no token in the answer",
		server.URL + "/refused":        "403",
		"http://actions.example.com/x": "in the clear",
		"actions.example.com":          "not the address",
	} {
		token, err := actionsToken(t.Context(), address, strings.TrimPrefix(secret, "Bearer "))
		switch {
		case want == "" && (err != nil || token != "a.b.c"):
			t.Errorf("%s: %q, %v", address, token, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush")):
			t.Errorf("%s: %v", address, err)
		}
	}
	if asked != 1 || thief != 0 {
		t.Errorf("asked %d times, and %d times elsewhere", asked, thief)
	}
}

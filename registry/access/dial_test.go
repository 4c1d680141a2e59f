package access

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FAULTS 18: an issuer's name, document or redirect that leads inside.
func TestCheckAddress(t *testing.T) {
	for ip, want := range map[string][3]bool{ // publicOnly, alsoPrivate, loopbackOnly
		"140.82.121.3":           {true, true, false},
		"2606:50c0:8000::153":    {true, true, false},
		"127.0.0.1":              {false, true, true},
		"127.255.0.3":            {false, true, true},
		"::1":                    {false, true, true},
		"::ffff:127.0.0.1":       {false, true, true},
		"10.0.0.1":               {false, true, false},
		"172.16.0.1":             {false, true, false},
		"192.168.1.1":            {false, true, false},
		"::ffff:192.168.1.1":     {false, true, false},
		"fd12::1":                {false, true, false},
		"fec0::1":                {false, true, false},
		"100.64.0.1":             {false, true, false},
		"198.18.0.1":             {false, true, false},
		"169.254.169.254":        {false, false, false}, // metadata, whatever the config says
		"::ffff:169.254.169.254": {false, false, false},
		"fe80::1":                {false, false, false},
		"fd00:ec2::254":          {false, false, false},
		"100.100.100.200":        {false, false, false},
		"168.63.129.16":          {false, false, false},
		"0.0.0.0":                {false, false, false},
		"::":                     {false, false, false},
		"224.0.0.1":              {false, false, false},
		"ff02::1":                {false, false, false},
		"255.255.255.255":        {false, false, false},
		"64:ff9b::a9fe:a9fe":     {false, false, false}, // 169.254.169.254 by NAT64
		"2002:a9fe:a9fe::1":      {false, false, false}, // by 6to4
	} {
		for allowed, ok := range want {
			err := checkAddress(reach(allowed), net.JoinHostPort(ip, "443"))
			if (err == nil) != ok || err != nil && !errors.Is(err, errRefused) {
				t.Errorf("%s, reach %d: %v", ip, allowed, err)
			}
		}
	}
	if checkAddress(alsoPrivate, "example.com:443") == nil || checkAddress(publicOnly, "") == nil {
		t.Error("what is no address is dialled")
	}
}

func TestReach(t *testing.T) {
	for u, want := range map[string]reach{
		"https://token.actions.githubusercontent.com": publicOnly,
		"https://idp.example.com/realms/x":            publicOnly,
		"http://127.0.0.1:8080":                       loopbackOnly,
		"http://localhost:8080":                       loopbackOnly,
		"https://[::1]:8443":                          loopbackOnly,
	} {
		if got, err := reachOf(u, false); got != want || err != nil {
			t.Errorf("%s: %v %v", u, got, err)
		}
	}
	if got, err := reachOf("https://idp.example.com", true); got != alsoPrivate || err != nil {
		t.Errorf("%v %v", got, err)
	}
	for _, u := range []string{
		"", "idp.example.com", "http://idp.example.com", "http://127.0.0.1.example.com", "ftp://localhost", "https://", "https://u:p@idp.example.com",
		"https://idp.example.com?x=1", "https://idp.example.com#x", "http://10.0.0.1", "file:///etc/passwd", "https://idp.example.com?",
	} {
		if _, err := reachOf(u, true); err == nil {
			t.Errorf("%s is taken", u)
		}
	}
}

func TestFetcher(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked inside") }))
	defer inside.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, inside.URL, http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/large":
			_, _ = w.Write(make([]byte, maxFetched+1))
		default:
			_, _ = w.Write([]byte("ok"))
		}
	}))
	defer plain.Close()
	get := func(allowed reach, url string) (string, error) {
		resp, err := fetcher(allowed, nil).Get(url)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		content, err := io.ReadAll(resp.Body)
		return string(content), err
	}
	for _, path := range []string{"/", "/here"} {
		if body, err := get(loopbackOnly, plain.URL+path); body != "ok" || err != nil {
			t.Errorf("%s: %s %v", path, body, err)
		}
	}
	for _, path := range []string{"/away", "/round", "/large"} {
		if _, err := get(loopbackOnly, plain.URL+path); err == nil {
			t.Errorf("%s is followed", path)
		}
	}
	if _, err := get(publicOnly, plain.URL); !errors.Is(err, errRefused) {
		t.Errorf("in the clear: %v", err)
	}
	tls := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked inside") }))
	defer tls.Close()
	if _, err := get(publicOnly, tls.URL); !errors.Is(err, errRefused) {
		t.Errorf("this machine: %v", err)
	}
	if _, err := get(publicOnly, strings.Replace(tls.URL, "127.0.0.1", "localhost", 1)); !errors.Is(err, errRefused) {
		t.Errorf("this machine, by name: %v", err)
	}
}

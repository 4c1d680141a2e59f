package access

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestParseAuthorization(t *testing.T) {
	for header, want := range map[string]credentials{
		basic("alice:secret"):                   {user: "alice", secret: "secret"},
		basic("alice:with:colons"):              {user: "alice", secret: "with:colons"},
		"basic " + basic("a:b")[6:]:             {user: "a", secret: "b"},
		"Bearer abc.def.ghi":                    {secret: "abc.def.ghi", bearer: true},
		"bearer  x ":                            {secret: "x", bearer: true},
		"Bearer " + strings.Repeat("a", 16<<10): {secret: strings.Repeat("a", 16<<10), bearer: true},
		basic(":onlypassword"):                  {secret: "onlypassword"},
		basic("alice:"):                         {user: "alice"},
	} {
		got, err := parseAuthorization(http.Header{"Authorization": {header}})
		if err != nil || got != want || !got.present() {
			t.Errorf("%.40q: %v %v", header, got == want, err)
		}
	}
	for _, values := range [][]string{
		{""}, {"Bearer"}, {"Bearer "}, {"Basic"}, {"Basic !!"}, {basic("nocolon")}, {basic(":")}, {"Digest x"}, {"Negotiate abc"},
		{"Bearer a", "Bearer b"},                    // which one?
		{"Bearer " + strings.Repeat("a", 16<<10+1)}, // FAULTS 17
		{basic("a:" + strings.Repeat("b", 16<<10))}, // FAULTS 17
		{"Bearer " + strings.Repeat(".", 1<<20)},    // FAULTS 17
		{strings.Repeat("x", 100)}, {"Basic " + strings.Repeat("=", 9)},
	} {
		if c, err := parseAuthorization(http.Header{"Authorization": values}); err == nil {
			t.Errorf("%.60q is taken as %+v", values, c)
		}
	}
	if c, err := parseAuthorization(http.Header{}); err != nil || c.present() {
		t.Errorf("no header: %v %v", c, err)
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add(basic("alice:secret"))
	f.Add("Bearer kiln_00000000000000000000_" + strings.Repeat("0", 64))
	f.Add("Bearer a.b.c")
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseAuthorization(http.Header{"Authorization": {header}})
		if err != nil {
			return
		}
		if !c.present() || c.bearer && c.user != "" || len(c.secret) > maxCredential {
			t.Errorf("%q: %v", header, err)
		}
		claimedIssuer(c.secret)
		if name := loggedName(c.user); strings.ContainsAny(name, "\n\"\x00") {
			t.Errorf("%q is logged as %q", c.user, name)
		}
	})
}

func TestLoggedName(t *testing.T) {
	for user, want := range map[string]string{
		"alice": "alice", "a.b@example.com": "a.b@example.com", "": "(bearer)",
		"kiln_0123": "(hidden)", "line\nbreak": "(hidden)", strings.Repeat("a", 65): "(hidden)",
	} {
		if got := loggedName(user); got != want {
			t.Errorf("%q: %s", user, got)
		}
	}
}

func TestAddress(t *testing.T) {
	g := &Gate{proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:999", "", "192.0.2.1"},
		{"192.0.2.1:999", "203.0.113.7", "192.0.2.1"}, // not a proxy of ours
		{"10.1.1.1:999", "203.0.113.7", "203.0.113.7"},
		{"10.1.1.1:999", "198.51.100.1, 203.0.113.7, 10.2.2.2", "203.0.113.7"}, // the first is what the client says
		{"10.1.1.1:999", "junk", "10.1.1.1"},
		{"[2001:db8:1:2:3:4:5:6]:999", "", "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.1]:999", "", "192.0.2.1"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := g.address(r); got != c.want {
			t.Errorf("%s via %s: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

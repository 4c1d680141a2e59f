package promotionhttp

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestLoopback(t *testing.T) {
	guarded := Loopback(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	ask := func(host string, header ...string) *httptest.ResponseRecorder {
		req := httptest.NewRequest("POST", "/v2/", nil)
		req.Host = host
		for i := 0; i < len(header); i += 2 {
			req.Header[header[i]] = append(req.Header[header[i]], header[i+1])
		}
		rec := httptest.NewRecorder()
		guarded.ServeHTTP(rec, req)
		return rec
	}
	for _, host := range []string{"127.0.0.1", "127.0.0.1:5000", "127.8.9.10:1", "localhost", "LocalHost:5000", "[::1]", "[::1]:5000", "::1", "[::ffff:127.0.0.1]:5000"} {
		if rec := ask(host, "User-Agent", "x", "Authorization", "y", "X-Request-Id", "z"); rec.Code != http.StatusTeapot {
			t.Errorf("Host %s: %d %s", host, rec.Code, rec.Body)
		}
	}
	for _, host := range []string{
		"", "example.com", "example.com:5000", "127.0.0.1.example.com", "localhost.example.com", "127.0.0.1@example.com", "localhost:x@example.com",
		"localhost:80:80", "0.0.0.0:5000", "[::]:5000", "10.0.0.1:5000", "192.168.0.1", "[fe80::1]", "[::1", "2130706433", "0x7f.1", "127.1", "localhost.", "kiln.localhost",
	} {
		rec := ask(host)
		if rec.Code != http.StatusForbidden || rec.Header().Get("Content-Type") != problemType || !strings.Contains(rec.Body.String(), `"kind":"denied"`) {
			t.Errorf("Host %q: %d %s", host, rec.Code, rec.Body)
		}
	}
	for _, origin := range []string{"http://localhost:5000", "http://127.0.0.1", "https://[::1]:1"} {
		if rec := ask("localhost:5000", "Origin", origin); rec.Code != http.StatusTeapot {
			t.Errorf("Origin %s: %d", origin, rec.Code)
		}
	}
	for _, origin := range []string{"null", "", "http://example.com", "http://localhost.example.com", "http://localhost@example.com", "file://", "chrome-extension://localhost", "http://%zz", "localhost"} {
		if rec := ask("localhost:5000", "Origin", origin); rec.Code != http.StatusForbidden {
			t.Errorf("Origin %q: %d", origin, rec.Code)
		}
	}
	if rec := ask("localhost:5000", "Origin", "http://localhost", "Origin", "http://example.com"); rec.Code != http.StatusForbidden {
		t.Errorf("two origins: %d", rec.Code)
	}
	for _, name := range []string{
		"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded",
		"X-Forwarded-Anything", "X-Real-Ip", "X-Client-Ip", "X_Forwarded_For", "x-forwarded-for", "True-Client-Ip", "Cf-Connecting-Ip",
	} {
		for _, value := range []string{"", "127.0.0.1"} {
			if rec := ask("127.0.0.1:5000", name, value); rec.Code != http.StatusForbidden {
				t.Errorf("%s: %q: %d", name, value, rec.Code)
			}
		}
	}
}

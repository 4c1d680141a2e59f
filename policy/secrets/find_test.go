package secrets

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// Samples are put together at run time: whole ones would be found in this file.
func sample(parts ...string) string { return strings.Join(parts, "") }

var (
	awsKey   = sample("AKIA", "Q3EGRV5ZTN7JD2XP")
	github   = sample("ghp_", "x7Kq2ZpW9vLd4NfRt1YbHs6GcJm3Ea0UoTiP")
	random   = sample("q8Zt3Lk0", "Vw7Yx2Nc5Rb9Pd4")
	rsaBegin = sample("-----BEGIN RSA ", "PRIVATE KEY-----")
	rsaEnd   = sample("-----END RSA ", "PRIVATE KEY-----")
)

func body() string {
	line := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("kiln", 12)))
	return strings.Repeat(line+"\n", 4)
}

func find(t testing.TB, name, text string) []string {
	t.Helper()
	found, err := shared().Find(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	list := []string{}
	for _, f := range found {
		if f.Known == "" {
			list = append(list, fmt.Sprint(f.Rule, ":", f.Line))
		}
	}
	return list
}

var shared = sync.OnceValue(New)

func TestFind(t *testing.T) {
	for _, tc := range []struct{ name, path, text, want string }{
		{"nothing", "/a", "hello\n", ""},
		{"empty", "/a", "", ""},
		{"AWS", "/srv/.env", "A=1\nAWS_ACCESS_KEY_ID=" + awsKey + "\n", "aws-access-token:2"},
		{"AWS at the end", "/srv/.env", "AWS_ACCESS_KEY_ID=" + awsKey, "aws-access-token:1"},
		{"example of AWS", "/srv/.env", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n", ""},
		{"GitHub", "/a", "x\n\n\ntoken: " + github + "\n", "github-pat:4"},
		{"GitHub in lower case prose", "/a", strings.ToLower("the keys of ghp_ are long"), ""},
		{"RSA", "/id_rsa", rsaBegin + "\n" + body() + rsaEnd + "\n", "private-key:1"},
		{"RSA in JSON", "/a.json", `{"key": "` + rsaBegin + `\n` + strings.ReplaceAll(body(), "\n", `\n`) + rsaEnd + `"}`, "private-key:1"},
		{"a program that reads keys", "/pem.py", `if line == "` + rsaBegin + `": pass` + "\n" + strings.Repeat("# of a few words\n", 6) + `elif line == "` + rsaEnd + `"`, ""},
		{"guess", "/srv/app.conf", "api_key = \"" + random + "\"\n", "generic-api-key:1"},
		{"guess of letters", "/srv/app.conf", "api_key = some_function_name\n", ""},
		{"a cipher of the JDK", "/etc/java/java.security", "jdk.tls.keyLimits=AES/GCM/NoPadding KeyUpdate 2^37\n", ""},
		{"a cipher with padding", "/srv/app.properties", "key.algorithm=RSA/ECB/OAEPWithSHA-256AndMGF1Padding\n", ""},
		{"what begins like a cipher", "/srv/app.conf", "api_key=AES/GCM/" + random + "\n", "generic-api-key:1"},
		{"guess beside what is sure", "/a", "secret_token = \"" + github + "\"\n", "github-pat:1"},
		{"guess in a lock file", "/srv/package-lock.json", "api_key = \"" + random + "\"\n", ""},
		{"sure in a lock file", "/srv/package-lock.json", "k " + github + "\n", "github-pat:1"},
		{"a package's tests", "/srv/node_modules/x/test/key.pem", rsaBegin + "\n" + body() + rsaEnd, ""},
		{"a package's key", "/srv/node_modules/x/key.pem", rsaBegin + "\n" + body() + rsaEnd, "private-key:1"},
		{"own tests", "/srv/test/key.pem", rsaBegin + "\n" + body() + rsaEnd, "private-key:1"},
		{"by name", "/srv/client.p12", "", "pkcs12-file:0"},
		{"a comment does not help", "/a", "k = '" + github + "' # gitleaks:allow\n", "github-pat:1"},
		{"twice", "/a", github + "\n" + github + "\n", "github-pat:1 github-pat:2"},
		{"a rule of one kind of file", "/a.yaml", "kind: Secret\ndata:\n  password: c2VjcmV0dmFsdWUx\n", "kubernetes-secret-yaml:1"},
		{"that in another kind", "/a.txt", "kind: Secret\ndata:\n  password: c2VjcmV0dmFsdWUx\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := strings.Join(find(t, tc.path, tc.text), " "); got != tc.want {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for secret, want := range map[string]string{
		"": "…", "abc": "…", "abcdefgh": "ab…", awsKey: "AKIA…", "äöüßäöüßäöüßäöüß": "äöüß…",
	} {
		if got := Mask(secret); got != want {
			t.Errorf("Mask(%q) = %q, want %q", secret, got, want)
		}
	}
}

// What is far from a keyword must not change what is found at it, nor may the
// windows hide what the whole text would show.
func TestWindowsFindWhatTheWholeTextShows(t *testing.T) {
	rules, err := load()
	if err != nil {
		t.Fatal(err)
	}
	words := []string{
		"key", "token = ", "api_key: \"", random, "\"", "\n", " ", github, awsKey, "aws", "curl -u ", "a:b ",
		rsaBegin, "\n" + body(), rsaEnd, "eyJhbGciOiJIUzI1NiJ9abcdefgh", ".", "secret", "=>", "'", "datadog", "ä", "\x00",
		strings.Repeat("x", 300), strings.Repeat("some words, ", 40), "https://", "facebook", "slack", "xoxb-1234567890-1234567890abc",
	}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 1, 60).Draw(t, "text"), "")
		spans, err := rules.spans([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		for n := range rules.list {
			rule, err := rules.list[n]()
			if err != nil {
				t.Fatal(err)
			}
			if rule.Regex == nil || rule.RuleID == heuristic || !holdsAny(strings.ToLower(text), rule.Keywords) {
				continue
			}
			whole := rules.matches(rule, "/a", []byte(text), span{0, len(text)}, nil)
			for _, m := range whole {
				if !slices.ContainsFunc(spans[rule], func(s span) bool { return s.from <= m.at && m.at < s.to }) {
					t.Fatalf("%s at %d lies in no window %v of %q", rule.RuleID, m.at, spans[rule], text)
				}
			}
		}
	})
}

// A finding may be printed, stored and signed: it must not hold the secret.
func TestFindingsHoldNoSecret(t *testing.T) {
	text := "a = '" + github + "'\napi_key = \"" + random + "\"\n" + rsaBegin + "\n" + body() + rsaEnd
	found, err := shared().Find("/a", []byte(text))
	if err != nil || len(found) != 3 {
		t.Fatalf("found %v (%v), want three", found, err)
	}
	for _, f := range found {
		shown := fmt.Sprintf("%+v", f)
		for _, secret := range []string{github, random, body()[:20]} {
			if strings.Contains(shown, secret[4:]) || strings.Contains(shown, secret[:5]) {
				t.Errorf("%s shows a secret", shown)
			}
		}
	}
}

// Each finding costs several expressions: a text full of them is not worth that.
func TestFindIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 3 * maxMatches {
		fmt.Fprintf(&text, "api_key = \"%s%08x\"\n", random, i*2654435761)
	}
	text.WriteString("token: " + github + "\n")
	found := find(t, "/srv/log", text.String())
	if last := len(found) - 1; last != maxMatches || found[last] != fmt.Sprint("github-pat:", 3*maxMatches+1) {
		t.Errorf("%d findings, the last %s", last+1, found[last])
	}
}

func TestVersionIsStable(t *testing.T) {
	if a, b := Version(), Version(); a != b || len(a) != 64 {
		t.Errorf("versions %q and %q", a, b)
	}
}

func FuzzFind(f *testing.F) {
	f.Add("/srv/.env", []byte("AWS_ACCESS_KEY_ID="+awsKey+"\n"))
	f.Add("/a.yaml", []byte("kind: Secret\ndata:\n x: YWJjZGVmZ2hpamtsbW5v\n"))
	f.Add("/k.p12", []byte(nil))
	f.Add("", []byte(rsaBegin+body()+rsaEnd))
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		found, err := shared().Find(name, text)
		if err != nil {
			t.Fatal(err)
		}
		lines := 1 + strings.Count(string(text), "\n")
		for _, x := range found {
			if x.Line < 0 || x.Line > lines || x.Rule == "" || len([]rune(x.Masked)) > 5 {
				t.Fatalf("finding %+v in a text of %d lines", x, lines)
			}
		}
		again, _ := shared().Find(name, text)
		if !slices.Equal(found, again) {
			t.Fatalf("%v, then %v", found, again)
		}
	})
}

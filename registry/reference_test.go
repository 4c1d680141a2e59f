package registry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

var (
	sha256Digest = digest.FromString("x")
	sha512Digest = digest.SHA512.FromString("x")
)

func TestParseReference(t *testing.T) {
	d, long := string(sha256Digest), string(sha512Digest)
	for s, want := range map[string]Reference{
		"acme/shop":                      {Name: "acme/shop"},
		"shop":                           {Name: "shop"},
		"acme/shop:1.0":                  {Name: "acme/shop", Tag: "1.0"},
		"acme/shop@" + d:                 {Name: "acme/shop", Digest: sha256Digest},
		"acme/shop@" + long:              {Name: "acme/shop", Digest: sha512Digest},
		"acme/shop:prod@" + d:            {Name: "acme/shop", Tag: "prod", Digest: sha256Digest},
		"localhost/acme/shop":            {Host: "localhost", Name: "acme/shop"},
		"localhost:5000/shop:x":          {Host: "localhost:5000", Name: "shop", Tag: "x"},
		"host:5000/shop":                 {Host: "host:5000", Name: "shop"},
		"registry.example.com/a/b/c:t":   {Host: "registry.example.com", Name: "a/b/c", Tag: "t"},
		"127.0.0.1:5000/acme/shop@" + d:  {Host: "127.0.0.1:5000", Name: "acme/shop", Digest: sha256Digest},
		"[::1]:5000/acme/shop":           {Host: "[::1]:5000", Name: "acme/shop"},
		"Registry.Example.COM/acme/shop": {Host: "Registry.Example.COM", Name: "acme/shop"},
		"localhost:5000":                 {Name: "localhost", Tag: "5000"},
		"a.b":                            {Name: "a.b"},
	} {
		got, err := ParseReference(s)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", s, got, err, want)
		}
		if got.String() != s {
			t.Errorf("%s: prints as %s", s, got)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	hex := sha256Digest.Encoded()
	for s, code := range map[string]Code{
		"":                              CodeNameInvalid,
		":tag":                          CodeNameInvalid,
		"Acme/shop":                     CodeNameInvalid,
		"acme//shop":                    CodeNameInvalid,
		"acme/../shop":                  CodeNameInvalid,
		"../shop":                       CodeNameInvalid,
		"acme/shop/":                    CodeNameInvalid,
		"/acme/shop":                    CodeNameInvalid,
		"acme/-shop":                    CodeNameInvalid,
		"acme/sh op":                    CodeNameInvalid,
		"acme/shop\n":                   CodeNameInvalid,
		"acme~shop":                     CodeNameInvalid,
		strings.Repeat("a", 201):        CodeNameInvalid,
		"example.com/":                  CodeNameInvalid,
		"exa mple.com/shop":             CodeNameInvalid,
		"user@example.com/shop":         CodeDigestInvalid,
		"-x.example.com/shop":           CodeNameInvalid,
		"example.com:/shop":             CodeNameInvalid,
		"example.com:port/shop":         CodeNameInvalid,
		"https://example.com/shop":      CodeNameInvalid,
		"acme/shop:":                    CodeTagInvalid,
		"acme/shop:-x":                  CodeTagInvalid,
		"acme/shop:.x":                  CodeTagInvalid,
		"acme/shop:a b":                 CodeTagInvalid,
		"acme/shop:" + longTag + "x":    CodeTagInvalid,
		"acme/shop@":                    CodeDigestInvalid,
		"acme/shop@sha256:" + hex[1:]:   CodeDigestInvalid,
		"acme/shop@sha256:" + hex + "0": CodeDigestInvalid,
		"acme/shop@sha256:" + strings.ToUpper(hex):                       CodeDigestInvalid,
		"acme/shop@sha256:../../x":                                       CodeDigestInvalid,
		"acme/shop@md5:" + hex[:32]:                                      CodeDigestInvalid,
		"acme/shop@sha384:" + hex + hex[:32]:                             CodeDigestInvalid,
		"acme/shop@" + string(sha256Digest) + "@" + string(sha256Digest): CodeDigestInvalid,
	} {
		got, err := ParseReference(s)
		if ErrorCode(err) != code {
			t.Errorf("%q: got %+v, %v, want %s", s, got, err, code)
		}
		if got != (Reference{}) {
			t.Errorf("%q: an error and %+v", s, got)
		}
		if err != nil && len(err.Error()) > 600 {
			t.Errorf("%.20q: message of %d bytes", s, len(err.Error()))
		}
	}
}

var longTag = strings.Repeat("t", 128)

func TestIsVersionTag(t *testing.T) {
	for tag, want := range map[string]bool{
		"20260102T030405Z-0123456789ab":               true,
		"1.4.0-20260102T030405Z-0123456789ab":         true,
		"1.4.0-rc.1-20260102T030405Z-0123456789ab":    true,
		"1.4.0_5-20260102T030405Z-000000000000-dirty": true,
		"latest": false, "": false, "prod": false,
		"20260102T030405Z":                          false,
		"-20260102T030405Z-0123456789ab":            false,
		"1.4.020260102T030405Z-0123456789ab":        false,
		"20260102T030405Z-0123456789AB":             false,
		"20260102T030405Z-0123456789abc":            false,
		"20260102T030405Z-0123456789ab-dirt":        false,
		"sha256-" + sha256Digest.Encoded() + ".sig": false,
	} {
		if got := IsVersionTag(tag); got != want {
			t.Errorf("%q: %v, want %v", tag, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("push: %w", Errorf(CodeDenied, "tag %s: %w", "x", cause))
	if !errors.Is(err, CodeDenied) || errors.Is(err, CodeConflict) || !errors.Is(err, cause) || ErrorCode(err) != CodeDenied {
		t.Errorf("%v does not match as it should", err)
	}
	if got := err.Error(); got != "push: tag x: cause" {
		t.Errorf("message %q", got)
	}
	if ErrorCode(cause) != "" || ErrorCode(nil) != "" {
		t.Error("a code from nothing")
	}
	for code, status := range map[Code]int{CodeDenied: 403, CodeBlobUnknown: 404, CodeCorrupt: 500, CodeConflict: 409, "NEW": http.StatusInternalServerError} {
		if code.Status() != status {
			t.Errorf("%s: status %d, want %d", code, code.Status(), status)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"acme/shop:1@" + string(sha256Digest), "localhost:5000/x", "[::1]:1/x", "a.b/c:d", "sha256:../../x", "a/../b", "é/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseReference(s)
		if err != nil {
			if ErrorCode(err) == "" {
				t.Fatalf("uncoded error %v", err)
			}
			return
		}
		if r.String() != s {
			t.Fatalf("%q prints as %q", s, r.String())
		}
		if CheckName(r.Name) != nil || r.Tag != "" && CheckTag(r.Tag) != nil || r.Digest != "" && CheckDigest(r.Digest) != nil {
			t.Fatalf("%q has parts that do not pass: %+v", s, r)
		}
		if strings.ContainsAny(r.Name+r.Tag, "\x00\n\\~ ") || strings.Contains(r.Name, "..") {
			t.Fatalf("%q has a name that is no key: %+v", s, r)
		}
	})
}

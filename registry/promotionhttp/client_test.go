package promotionhttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kiln/registry/promotion"
)

func TestNewClient(t *testing.T) {
	for _, u := range []string{
		"https://registry.example.com", "https://registry.example.com:8443/", "http://localhost:5000", "http://127.0.0.1:5000/", "http://[::1]:5000", "https://10.0.0.1",
	} {
		c, err := NewClient(u, ClientOptions{})
		if err != nil || !strings.Contains(u, c.Host()) {
			t.Errorf("%s: %v", u, err)
		}
	}
	for u, text := range map[string]string{
		"":                                    "not only a scheme",
		"registry.example.com":                "not only a scheme",
		"http://registry.example.com":         "in the clear",
		"http://localhost.example.com":        "in the clear",
		"http://0.0.0.0:5000":                 "in the clear",
		"https://alice:hunter2@example.com":   "user or password",
		"https://alice:hunter2@example.com:x": "malformed",
		"https://example.com/kiln":            "not only a scheme",
		"https://example.com?x=hunter2":       "not only a scheme",
		"https://example.com#x":               "not only a scheme",
		"https://:5000":                       "not only a scheme",
		"ftp://example.com":                   "the scheme",
		"s3://bucket":                         "the scheme",
	} {
		_, err := NewClient(u, ClientOptions{Token: "hunter2"})
		if e := want(t, err, promotion.KindInvalid, text); e.Hint == "" || strings.Contains(e.Error(), "alice:hunter2") {
			t.Errorf("%s: %v, hint %q", u, e, e.Hint)
		}
	}
}

func TestTagsOf(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a := w.baked(shop, "a")
	w.baked(shop, "b")
	w.tagged(shop, "a")
	tags, err := w.client.TagsOf(ctx, shop, a)
	if err != nil || !slices.Equal(tags, []string{"20260301T120003Z-0123456789ab", "20260301T120001Z-0123456789ab"}) {
		t.Errorf("tags %v: %v", tags, err)
	}
	if tags, err := w.client.TagsOf(ctx, shop, absent); err != nil || tags == nil || len(tags) != 0 {
		t.Errorf("tags of no version %v: %v", tags, err)
	}
	if tags, err := w.client.TagsOf(ctx, "acme/none", a); err != nil || tags == nil || len(tags) != 0 {
		t.Errorf("tags of no image %v: %v", tags, err)
	}
	_, err = w.client.TagsOf(ctx, "../x", a)
	want(t, err, promotion.KindInvalid, "invalid image name")
}

func TestAdmit(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	if recorded, err := w.client.Admit(ctx, promotion.RoleBake, w.bake.PublicPEM(), shop); err != nil || !recorded {
		t.Fatalf("first use: %v, %v", recorded, err)
	}
	trust, err := w.service.Trust(ctx)
	if err != nil || len(trust.Entries) != 1 || trust.Entries[0].Image != promotion.EveryImage || trust.Entries[0].AddedBy != w.bake.KeyID() {
		t.Fatalf("trust %+v: %v", trust, err)
	}
	if recorded, err := w.client.Admit(ctx, promotion.RoleBake, w.bake.PublicPEM(), "acme/other"); err != nil || recorded {
		t.Errorf("second use: %v, %v", recorded, err)
	}
	// The same error as the service makes.
	_, err = w.client.Admit(ctx, promotion.RoleBake, w.stranger.PublicPEM(), shop)
	got := want(t, err, promotion.KindDenied, "not trusted to bake "+shop)
	_, err = w.service.Admit(ctx, promotion.RoleBake, w.stranger.PublicPEM(), shop, "", true)
	if same := want(t, err, promotion.KindDenied, ""); got.Message != same.Message || got.Hint != same.Hint || got.Hint == "" {
		t.Errorf("the client makes %+v, the service %+v", got, same)
	}
	_, err = w.client.Admit(ctx, promotion.RoleBake, []byte("no key"), shop)
	want(t, err, promotion.KindInvalid, "")
	// A role that was ever closed is not opened again.
	if _, err := w.client.RemoveTrust(ctx, promotion.TrustRequest{KeyID: w.bake.KeyID()}); err != nil {
		t.Fatal(err)
	}
	_, err = w.client.Admit(ctx, promotion.RoleBake, w.stranger.PublicPEM(), shop)
	want(t, err, promotion.KindDenied, "not trusted to bake")
}

// TestAdmitRace: of many first keys one is recorded.
func TestAdmitRace(t *testing.T) {
	w := newWorld(t)
	var recorded atomic.Int32
	done := make(chan error)
	for i := range 8 {
		key := w.bake
		if i%2 == 1 {
			key = w.stranger
		}
		go func() {
			ok, err := w.client.Admit(t.Context(), promotion.RoleBake, key.PublicPEM(), shop)
			if ok {
				recorded.Add(1)
			}
			if promotion.KindOf(err) == promotion.KindDenied {
				err = nil
			}
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	trust, err := w.service.Trust(t.Context())
	if err != nil || len(trust.Entries) != 1 || recorded.Load() != 1 {
		t.Errorf("recorded %d times, trust %+v: %v", recorded.Load(), trust, err)
	}
}

// TestAdmitWithoutTheRight: a server that lets nobody add keys has the last word.
func TestAdmitWithoutTheRight(t *testing.T) {
	w := newWorld(t)
	inner, err := New(Config{Operations: w.service})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			newProblem(403, promotion.KindDenied, "only an admin may").write(rw)
			return
		}
		inner.ServeHTTP(rw, r)
	}))
	defer s.Close()
	recorded, err := dial(t, s, ClientOptions{}).Admit(t.Context(), promotion.RoleBake, w.bake.PublicPEM(), shop)
	if want(t, err, promotion.KindDenied, "only an admin may"); recorded {
		t.Error("recorded")
	}
}

// script is a transport that answers by a list, the last one again and again.
type script struct {
	answers []string // "status type body", or an error's text
	asked   []*http.Request
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	a := s.answers[min(len(s.asked), len(s.answers)-1)]
	s.asked = append(s.asked, r)
	var status int
	var kind string
	if _, err := fmt.Sscanf(a, "%d %s", &status, &kind); err != nil {
		return nil, errors.New(a)
	}
	_, body, _ := strings.Cut(a, kind+" ")
	h := http.Header{"Content-Type": {kind}}
	if status/100 == 3 {
		h.Set("Location", body)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r, ProtoMajor: 1}, nil
}

func scripted(t *testing.T, answers ...string) (*Client, *script) {
	t.Helper()
	s := &script{answers: answers}
	c, err := NewClient("https://registry.example.com", ClientOptions{Token: "hunter2", Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

const noImages = `200 application/json {"schema":"kiln.images/v1","images":[],"next":""}`

func TestRetries(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		answers []string
		asked   int
		kind    promotion.Kind
	}{
		"at once":       {[]string{noImages}, 1, ""},
		"out of reach":  {[]string{"connection refused", "connection reset", noImages}, 3, ""},
		"busy":          {[]string{"503 text/plain busy", "429 application/problem+json {}", noImages}, 3, ""},
		"never":         {[]string{"connection refused"}, tries, promotion.KindInternal},
		"internal":      {[]string{`500 application/problem+json {"detail":"internal error","kind":"internal"}`}, 1, promotion.KindInternal},
		"denied":        {[]string{`403 application/problem+json {"detail":"no","kind":"denied"}`}, 1, promotion.KindDenied},
		"another place": {[]string{"307 text/html https://evil.example.com/api/v1/images"}, 1, promotion.KindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := scripted(t, tc.answers...)
			_, err := c.Images(ctx, promotion.ImagesRequest{})
			if promotion.KindOf(err) != tc.kind || len(s.asked) != tc.asked {
				t.Errorf("asked %d times: %v", len(s.asked), err)
			}
		})
	}
	c, s := scripted(t, "connection reset")
	_, err := c.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: absent, Channel: "dev"})
	if want(t, err, promotion.KindInternal, "connection reset"); len(s.asked) != 1 {
		t.Errorf("what changes something was asked %d times", len(s.asked))
	}
	c, s = scripted(t, "connection reset")
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = c.Images(short, promotion.ImagesRequest{})
	if !errors.Is(err, context.DeadlineExceeded) || len(s.asked) != 1 {
		t.Errorf("asked %d times: %v", len(s.asked), err)
	}
}

func TestRedirectsAndTokens(t *testing.T) {
	ctx := t.Context()
	for _, to := range []string{
		"https://evil.example.com/", "http://registry.example.com/", "https://registry.example.com:444/", "https://sub.registry.example.com/", "//evil.example.com/",
	} {
		for _, status := range []string{"301", "302", "307", "308"} {
			c, s := scripted(t, status+" text/html "+to, noImages)
			_, err := c.Images(ctx, promotion.ImagesRequest{})
			if want(t, err, promotion.KindInternal, "refused a redirect"); len(s.asked) != 1 {
				t.Errorf("%s to %s: asked %s", status, to, s.asked[1].URL)
			}
			_, err = c.Promote(ctx, promotion.PromoteRequest{Image: shop, Digest: absent, Channel: "dev"})
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s to %s: %v", status, to, err)
			}
		}
	}
	c, s := scripted(t, "307 text/html /api/v1/images?x=1", noImages)
	if _, err := c.Images(ctx, promotion.ImagesRequest{}); err != nil || len(s.asked) != 2 {
		t.Errorf("a redirect on the same server: %v", err)
	}
	for _, r := range s.asked {
		if r.Header.Get("Authorization") != "Bearer hunter2" || strings.Contains(r.URL.String(), "hunter2") {
			t.Errorf("asked %s with %q", r.URL, r.Header.Get("Authorization"))
		}
	}
	c, s = scripted(t, "307 text/html /api/v1/images")
	if _, err := c.Images(ctx, promotion.ImagesRequest{}); err == nil || len(s.asked) > maxRedirects+1 {
		t.Errorf("followed %d redirects: %v", len(s.asked), err)
	}
}

// TestLoginStaysHere: a password goes to the server alone, and only where there
// is no token.
func TestLoginStaysHere(t *testing.T) {
	ctx := t.Context()
	login := func(context.Context) (string, string, error) { return "ann", "hunter3", nil }
	ask := func(o ClientOptions, answers ...string) []*http.Request {
		s := &script{answers: answers}
		o.Transport, o.Login = s, login
		c, err := NewClient("https://registry.example.com", o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Images(ctx, promotion.ImagesRequest{}); err != nil && strings.Contains(err.Error(), "hunter3") {
			t.Errorf("the error has the password: %v", err)
		}
		return s.asked
	}
	if asked := ask(ClientOptions{}, "307 text/html https://evil.example.com/", noImages); len(asked) != 1 {
		t.Errorf("followed to %s", asked[1].URL)
	} else if user, password, _ := asked[0].BasicAuth(); user != "ann" || password != "hunter3" {
		t.Errorf("asked as %q", user)
	}
	if asked := ask(ClientOptions{Token: "hunter2"}, noImages); asked[0].Header.Get("Authorization") != "Bearer hunter2" {
		t.Error("the token does not win")
	}
	login = func(context.Context) (string, string, error) { return "", "", nil }
	if asked := ask(ClientOptions{}, noImages); asked[0].Header.Get("Authorization") != "" {
		t.Error("nobody logged in, and credentials are sent")
	}
}

func TestAnswersOfOthers(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		answer string
		kind   promotion.Kind
		text   string
	}{
		"a page":                 {"200 text/html <html>", promotion.KindInternal, "no document of kiln's"},
		"no page":                {"404 text/html <html>", promotion.KindInternal, "answers 404"},
		"a login":                {"401 text/html <html>", promotion.KindDenied, "answers 401"},
		"a wall":                 {"403 text/html <html>", promotion.KindDenied, "answers 403"},
		"another JSON":           {`200 application/json {"images":[]}`, promotion.KindInternal, "something else"},
		"another error":          {`404 application/json {"errors":[]}`, promotion.KindInternal, "answers 404"},
		"an empty problem":       {`404 application/problem+json {}`, promotion.KindInternal, "answers 404"},
		"no JSON":                {`200 application/json {"images":`, promotion.KindInternal, "JSON"},
		"an unknown kind":        {`418 application/problem+json {"detail":"tea","kind":"tea"}`, promotion.KindInternal, "tea"},
		"a success that is none": {`200 application/problem+json {"detail":"tea","kind":"denied"}`, promotion.KindInternal, "no document"},
	} {
		c, _ := scripted(t, tc.answer)
		_, err := c.Images(ctx, promotion.ImagesRequest{})
		if e := want(t, err, tc.kind, tc.text); tc.kind == promotion.KindDenied && !strings.Contains(e.Hint, "KILN_TOKEN") {
			t.Errorf("%s: hint %q", name, e.Hint)
		}
	}
	c, _ := scripted(t, `200 application/json {"schema":"kiln.images/v1","next":"`+strings.Repeat("x", maxAnswer)+`"}`)
	_, err := c.Images(ctx, promotion.ImagesRequest{})
	want(t, err, promotion.KindInternal, "larger than any answer")
	c, _ = scripted(t, `404 application/problem+json {"kind":"not_found","detail":"`+strings.Repeat("x", maxProblem)+`"}`)
	_, err = c.Images(ctx, promotion.ImagesRequest{})
	want(t, err, promotion.KindInternal, "larger than any answer")
}

// TestAnswersToOtherQuestions: a hostile or confused server is not believed
// about what it was asked.
func TestAnswersToOtherQuestions(t *testing.T) {
	ctx := t.Context()
	other := strings.Replace(string(absent), "0", "1", 1)
	resolution := `200 application/json {"schema":"kiln.resolve/v1","image":"acme/shop","channel":"dev","digest":"` + string(absent) + `","reference":"registry.example.com/acme/shop@` + string(absent) + `"}`
	c, _ := scripted(t, resolution)
	ask := promotion.ResolveRequest{Image: shop, Channel: "dev"}
	if _, err := c.Resolve(ctx, ask); err != nil {
		t.Fatal(err)
	}
	for _, swap := range [][2]string{
		{`"acme/shop"`, `"acme/evil"`}, {`"dev"`, `"prod"`}, {"resolve/v1", "resolve/v2"}, {"com/acme/shop@", "com/acme/evil@"},
		{"shop@" + string(absent), "shop@" + other}, {"shop@" + string(absent), "shop:latest"}, {`"digest":"` + string(absent), `"digest":"`},
		{"registry.example.com/acme", "registry.example.com /acme"},
	} {
		c, _ := scripted(t, strings.Replace(resolution, swap[0], swap[1], 1))
		r, err := c.Resolve(ctx, ask)
		if want(t, err, promotion.KindInternal, "something else"); r.Digest != "" {
			t.Errorf("with %s: %+v", swap[1], r)
		}
	}
	moved := `201 application/json {"schema":"kiln.promotion/v1","image":"acme/shop","channel":"dev","digest":"` + string(absent) + `"}`
	for _, answer := range []string{
		`200 application/json {}`, strings.Replace(moved, "acme/shop", "acme/evil", 1), strings.Replace(moved, "dev", "prod", 1), strings.Replace(moved, string(absent), other, 1),
	} {
		c, _ := scripted(t, answer)
		_, err := c.Promote(ctx, promotion.PromoteRequest{Image: shop, Channel: "dev", Digest: absent})
		want(t, err, promotion.KindInternal, "something else")
		_, err = c.Rollback(ctx, promotion.RollbackRequest{Image: shop, Channel: "dev", To: absent})
		want(t, err, promotion.KindInternal, "something else")
	}
	c, _ = scripted(t, `200 application/json {}`)
	calls := map[string]func() error{
		"versions": func() error { _, err := c.Versions(ctx, promotion.VersionsRequest{Image: shop}); return err },
		"ancestry": func() error { _, err := c.Ancestry(ctx, promotion.AncestryRequest{Image: shop}); return err },
		"history":  func() error { _, err := c.History(ctx, promotion.HistoryRequest{Image: shop}); return err },
		"channels": func() error { _, err := c.Channels(ctx, promotion.ChannelsRequest{Image: shop}); return err },
		"renew":    func() error { _, err := c.Renew(ctx, promotion.RenewRequest{}); return err },
		"trust":    func() error { _, err := c.Trust(ctx); return err },
		"add":      func() error { _, err := c.AddTrust(ctx, promotion.TrustRequest{Role: "bake"}); return err },
		"remove":   func() error { _, err := c.RemoveTrust(ctx, promotion.TrustRequest{KeyID: "x"}); return err },
		"tags":     func() error { _, err := c.TagsOf(ctx, shop, absent); return err },
		"check": func() error {
			_, err := c.Check(ctx, promotion.CheckRequest{Image: shop, Digest: absent, Channel: "dev"})
			return err
		},
		"decisions": func() error { _, err := c.Decisions(ctx, promotion.DecisionsRequest{Image: shop}); return err },
		"lease":     func() error { _, err := c.Lease(ctx, promotion.LeaseRequest{Image: shop}); return err },
		"leases":    func() error { _, err := c.Leases(ctx, promotion.LeasesRequest{}); return err },
		"delete":    func() error { _, err := c.Delete(ctx, promotion.DeleteRequest{Image: shop}); return err },
		"collect":   func() error { _, err := c.Collect(ctx, promotion.CollectRequest{}); return err },
	}
	for name, call := range calls {
		if err := call(); promotion.KindOf(err) != promotion.KindInternal || !strings.Contains(err.Error(), "something else") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEndlessPages: a server whose cursor stands still ends the listing.
func TestEndlessPages(t *testing.T) {
	c, s := scripted(t, `200 application/json {"schema":"kiln.versions/v1","image":"acme/shop","versions":[],"next":"x"}`)
	if _, err := c.TagsOf(t.Context(), shop, absent); err != nil || len(s.asked) != 2 {
		t.Errorf("asked %d times: %v", len(s.asked), err)
	}
}

func TestTokenStaysOutOfLogs(t *testing.T) {
	var b strings.Builder
	c, _ := scripted(t, noImages)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "client", c, "options", ClientOptions{Token: "hunter2"})
	if strings.Contains(b.String(), "hunter2") {
		t.Error(b.String())
	}
}

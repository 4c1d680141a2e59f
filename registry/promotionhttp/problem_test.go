package promotionhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"kiln/registry"
	"kiln/registry/promotion"
)

// failing answers every listing of images with err.
type failing struct {
	promotion.Operations
	err error
}

func (f failing) Images(context.Context, promotion.ImagesRequest) (promotion.Images, error) {
	if f.err == nil {
		panic("secret /var/lib/kiln")
	}
	return promotion.Images{}, f.err
}

func (f failing) Renew(context.Context, promotion.RenewRequest) (promotion.Renewal, error) {
	return promotion.Renewal{}, f.err
}

func TestProblems(t *testing.T) {
	reasons := []promotion.Reason{{Rule: "signed", Message: "no <signature>", Fix: "sign it"}, {Rule: "sbom", Message: "none"}}
	for _, tc := range []struct {
		name   string
		err    error
		status int
		want   promotion.Error // as the client makes it
	}{
		{"invalid", &promotion.Error{Kind: promotion.KindInvalid, Message: "no"}, 400, promotion.Error{Kind: promotion.KindInvalid, Message: "no"}},
		{
			"denied", &promotion.Error{Kind: promotion.KindDenied, Message: "refused", Reasons: reasons, Hint: "do it"}, 403,
			promotion.Error{Kind: promotion.KindDenied, Message: "refused", Reasons: reasons, Hint: "do it"},
		},
		{"not found", &promotion.Error{Kind: promotion.KindNotFound, Message: "none"}, 404, promotion.Error{Kind: promotion.KindNotFound, Message: "none"}},
		{
			"conflict", &promotion.Error{Kind: promotion.KindConflict, Message: "moved", Current: absent}, 409,
			promotion.Error{Kind: promotion.KindConflict, Message: "moved", Current: absent},
		},
		{"conflict of nothing", &promotion.Error{Kind: promotion.KindConflict, Message: "moved"}, 409, promotion.Error{Kind: promotion.KindConflict, Message: "moved"}},
		{"revoked", &promotion.Error{Kind: promotion.KindRevoked, Message: "it leaks", Hint: "h"}, 422, promotion.Error{Kind: promotion.KindRevoked, Message: "it leaks", Hint: "h"}},
		{"damaged", &promotion.Error{Kind: promotion.KindVerification, Message: "bytes"}, 500, promotion.Error{Kind: promotion.KindVerification, Message: "bytes"}},
		{"wrapped", fmt.Errorf("at /secret: %w", &promotion.Error{Kind: promotion.KindNotFound, Message: "none"}), 404, promotion.Error{Kind: promotion.KindNotFound, Message: "none"}},
		{"registry's", fmt.Errorf("/secret: %w", registry.Errorf(registry.CodeNameInvalid, "bad name")), 400, promotion.Error{Kind: promotion.KindInvalid, Message: "bad name"}},
		{"registry's absence", registry.Errorf(registry.CodeManifestUnknown, "gone"), 404, promotion.Error{Kind: promotion.KindNotFound, Message: "gone"}},
		{"internal", errors.New("open /secret: denied"), 500, promotion.Error{Kind: promotion.KindInternal, Message: "internal error"}},
		{"internal of ours", &promotion.Error{Kind: promotion.KindInternal, Message: "secret", Hint: "secret"}, 500, promotion.Error{Kind: promotion.KindInternal, Message: "internal error"}},
		{"unknown kind", &promotion.Error{Kind: "odd", Message: "secret"}, 500, promotion.Error{Kind: promotion.KindInternal, Message: "internal error"}},
		{"panic", nil, 500, promotion.Error{Kind: promotion.KindInternal, Message: "internal error"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			s := serve(t, Config{Operations: failing{err: tc.err}, Log: slog.New(slog.NewTextHandler(&log, nil))})
			resp, body := request(t, "GET", s.URL+"/api/v1/images", "")
			var p Problem
			if err := json.Unmarshal([]byte(body), &p); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tc.status || p.Status != tc.status || resp.Header.Get("Content-Type") != "application/problem+json" || p.Title == "" {
				t.Errorf("%d %s: %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
			}
			if strings.Contains(body, "secret") {
				t.Errorf("a stranger reads %s", body)
			}
			if has := strings.Contains(body, `"current"`); has != (tc.want.Kind == promotion.KindConflict) {
				t.Errorf("current in %s: %v", body, has)
			}
			id := resp.Header.Get("X-Request-Id")
			if logged := strings.Contains(log.String(), id); logged != (tc.status == 500) || id == "" || p.RequestID != id {
				t.Errorf("request %q is in the log: %v\n%s", id, logged, log.String())
			}
			_, err := dial(t, s, ClientOptions{}).Images(t.Context(), promotion.ImagesRequest{})
			got, _ := err.(*promotion.Error)
			if got == nil {
				t.Fatalf("the client makes %v", err)
			}
			if tc.want.Kind == promotion.KindInternal {
				tc.want.Message = got.Message
				if !strings.HasPrefix(got.Message, "internal error, request ") {
					t.Errorf("message %q", got.Message)
				}
			}
			if !reflect.DeepEqual(*got, tc.want) {
				t.Errorf("the client makes %+v, want %+v", *got, tc.want)
			}
		})
	}
}

// TestEveryKindHasAStatus fails when a kind is added without one.
func TestEveryKindHasAStatus(t *testing.T) {
	for _, kind := range []promotion.Kind{
		promotion.KindInternal, promotion.KindInvalid, promotion.KindDenied, promotion.KindVerification,
		promotion.KindRevoked, promotion.KindConflict, promotion.KindNotFound,
	} {
		if statuses[kind] < 400 {
			t.Errorf("%s has the status %d", kind, statuses[kind])
		}
	}
}

func TestMalformedRequests(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 70<<10)
	for _, tc := range []struct {
		method, path, body string
		header             []string
		status             int
		detail             string
	}{
		{"GET", "/api/v1/none", "", nil, 404, "no such path"},
		{"GET", "/api/v1/", "", nil, 404, "no such path"},
		{"GET", "/", "", nil, 404, "no such path"},
		{"PUT", "/api/v1/promotions", "", nil, 405, "GET, POST"},
		{"POST", "/api/v1/resolve?image=acme/shop&channel=dev", "", nil, 405, "GET"},
		{"GET", "/api/v1/resolve?image=acme/shop", "", nil, 400, "query.channel"},
		{"GET", "/api/v1/resolve?channel=dev", "", nil, 400, "query.image"},
		{"GET", "/api/v1/images?image=x", "", nil, 400, "query.image: unknown"},
		{"GET", "/api/v1/images?limit=0", "", nil, 400, "query.limit"},
		{"GET", "/api/v1/images?limit=-1", "", nil, 400, "query.limit"},
		{"GET", "/api/v1/images?limit=ten", "", nil, 400, "query.limit"},
		{"GET", "/api/v1/images?limit=99999999999999999999", "", nil, 400, "query.limit"},
		{"GET", "/api/v1/images?limit=1&limit=2", "", nil, 400, "limit 2 times"},
		{"GET", "/api/v1/images?limit=%zz", "", nil, 400, "malformed query"},
		{"GET", "/api/v1/images?limit=1;cursor=x", "", nil, 400, "malformed query"},
		{"GET", "/api/v1/images?cursor=" + long[:9<<10], "", nil, 414, "a query of"},
		{"POST", "/api/v1/promotions", "", []string{"Content-Type", "application/json"}, 400, "body is required"},
		{"POST", "/api/v1/promotions", "{", nil, 400, "body"},
		{"POST", "/api/v1/promotions", "[]", nil, 400, "body"},
		{"POST", "/api/v1/promotions", "null", nil, 400, "body"},
		{"POST", "/api/v1/promotions", `{"image":"acme/shop","digest":"sha256:0"}`, nil, 400, "channel"},
		{"POST", "/api/v1/promotions", `{"image":"acme/shop","digest":1,"channel":"dev"}`, nil, 400, "body.digest"},
		{"POST", "/api/v1/promotions", `{"image":"a","digest":"b","channel":"dev","by":"root"}`, nil, 400, "body.by"},
		{"POST", "/api/v1/promotions", `{"image":"a","digest":"b","channel":"dev","expected":"none"}`, nil, 400, "body.expected"},
		{"POST", "/api/v1/collections", `{"apply":true,"retention":[{"image":"**","keep_last":5,"keep_yonger":"180d"}]}`, nil, 400, "keep_yonger"},
		{"POST", "/api/v1/promotions", `{"image":"` + long + `"}`, nil, 413, "more than"},
		{"POST", "/api/v1/renewals", `{}`, []string{"Content-Type", "text/plain"}, 415, "application/json"},
		{"POST", "/api/v1/renewals", `{}`, []string{"Content-Type", ""}, 415, "application/json"},
		{"POST", "/api/v1/renewals", `{}`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
	} {
		resp, body := request(t, tc.method, w.server.URL+tc.path, tc.body, tc.header...)
		var p Problem
		err := json.Unmarshal([]byte(body), &p)
		if err != nil || resp.StatusCode != tc.status || p.Status != tc.status || !strings.Contains(p.Detail, tc.detail) ||
			p.Kind != promotion.KindInvalid || resp.Header.Get("Content-Type") != "application/problem+json" || len(body) > 2000 {
			t.Errorf("%s %.80s %.60s: %d %.300s, want %d %q", tc.method, tc.path, tc.body, resp.StatusCode, body, tc.status, tc.detail)
		}
		if tc.status == http.StatusMethodNotAllowed && resp.Header.Get("Allow") != tc.detail {
			t.Errorf("Allow: %q", resp.Header.Get("Allow"))
		}
	}
	if h, err := w.service.Trust(t.Context()); err != nil || len(h.Entries) != 0 {
		t.Errorf("trust %+v: %v", h, err)
	}
}

// TestBodyThatEndsEarly sends less than it said.
func TestBodyThatEndsEarly(t *testing.T) {
	s, err := New(Config{Operations: failing{err: errors.New("reached")}})
	if err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(s, "POST", "/api/v1/renewals", io.MultiReader(strings.NewReader("{}"), broken{}))
	if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "ends early") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

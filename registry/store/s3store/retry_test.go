package s3store

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

func TestJudge(t *testing.T) {
	status := func(code int, name string) error { return minio.ErrorResponse{StatusCode: code, Code: name} }
	network := func(err error) error { return &url.Error{Op: "Put", URL: "http://x", Err: err} }
	for _, c := range []struct {
		err  error
		want verdict
	}{
		{status(412, "PreconditionFailed"), refused},
		{status(409, "ConditionalRequestConflict"), untouched},
		{status(429, "TooManyRequests"), untouched},
		{status(400, "RequestTimeout"), untouched},
		{status(403, "AccessDenied"), fatal},
		{status(404, "NoSuchKey"), fatal},
		{status(400, "InvalidArgument"), fatal},
		{status(501, "NotImplemented"), fatal},
		{status(507, "XMinioStorageFull"), fatal},
		{status(500, "InternalError"), unknown},
		{status(502, "Bad Gateway"), unknown},
		{status(503, "SlowDown"), unknown},
		{status(504, "Gateway Timeout"), unknown},
		{status(200, "InternalError"), unknown}, // an error in the body of a 200
		{network(context.DeadlineExceeded), unknown},
		{network(io.ErrUnexpectedEOF), unknown},
		{network(&net.OpError{Op: "read", Err: syscall.ECONNRESET}), unknown},
		{network(&net.OpError{Op: "write", Err: syscall.EPIPE}), unknown},
		{network(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), untouched},
		{network(&net.DNSError{Err: "no such host", IsNotFound: true}), fatal},
		{network(&net.DNSError{Err: "timeout", IsTimeout: true}), untouched},
		{network(x509.UnknownAuthorityError{}), fatal},
		{network(errors.New("http: server gave HTTP response to HTTPS client")), fatal},
	} {
		if got := judge(t.Context(), c.err); got != c.want {
			t.Errorf("%v: got %d, want %d", c.err, got, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := judge(ctx, status(503, "SlowDown")); got != fatal {
		t.Errorf("with an ended context: %d", got)
	}
}

// TestRetryEnds: attempts are bounded, and end with the context.
func TestRetryEnds(t *testing.T) {
	s := &Store{limits: limits{attempts: 4, backoff: time.Millisecond, timeout: time.Second}}
	slow := minio.ErrorResponse{StatusCode: 503, Code: "SlowDown"}
	made := 0
	_, err := retry(t.Context(), s, func(context.Context) (int, error) { made++; return 0, slow })
	if made != 4 || !errors.As(err, new(minio.ErrorResponse)) {
		t.Errorf("%d attempts, %v", made, err)
	}
	made = 0
	if v, err := retry(t.Context(), s, func(context.Context) (int, error) {
		if made++; made < 3 {
			return 0, slow
		}
		return 7, nil
	}); v != 7 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	s.limits.backoff = time.Hour
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := retry(ctx, s, func(context.Context) (int, error) { return 0, slow }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's end", err)
	}
}

func TestExplain(t *testing.T) {
	s := &Store{at: "bucket b at h"}
	for code, want := range map[string]string{
		"NoSuchBucket": "no such bucket", "AccessDenied": "access is denied", "InvalidAccessKeyId": "does not know the access key",
		"SignatureDoesNotMatch": "secret key", "PermanentRedirect": "another region", "AuthorizationHeaderMalformed": "another region (eu-1)",
	} {
		var e *AccessError
		if !errors.As(s.explain(minio.ErrorResponse{StatusCode: 400, Code: code, Region: "eu-1"}), &e) || e.Advice == "" {
			t.Errorf("%s is not explained", code)
		} else if got := e.Reason; len(got) < len(want) || !errors.As(e, new(minio.ErrorResponse)) {
			t.Errorf("%s: %s", code, got)
		}
	}
	for want, e := range map[error]minio.ErrorResponse{
		store.ErrReadOnly: {StatusCode: 403, Code: "AccessDenied"},
		store.ErrFull:     {StatusCode: 403, Code: "QuotaExceeded"},
	} {
		if err := refusedWrite(s.explain(e)); !errors.Is(err, want) || !errors.As(err, new(minio.ErrorResponse)) {
			t.Errorf("%s: %v, want %v", e.Code, err, want)
		}
	}
	if err := s.explain(minio.ErrorResponse{StatusCode: 400, Code: "Other"}); errors.As(err, new(*AccessError)) {
		t.Errorf("explained: %v", err)
	}
}

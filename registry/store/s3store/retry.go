package s3store

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// verdict is what an error says about the request that got it.
type verdict int

const (
	fatal     verdict = iota // the service, or we, said no: again would be the same
	refused                  // a condition did not hold: nothing was done
	untouched                // nothing was done; it may be sent again
	unknown                  // it may have been done, or be done yet; it may be sent again
)

// judge reads an error. ctx is the caller's: when it ended nothing is sent
// again.
func judge(ctx context.Context, err error) verdict {
	if ctx.Err() != nil {
		return fatal
	}
	var e minio.ErrorResponse
	if errors.As(err, &e) && e.StatusCode != 0 {
		return judgeStatus(e)
	}
	return judgeNetwork(err)
}

func judgeStatus(e minio.ErrorResponse) verdict {
	switch code := e.StatusCode; {
	case code == http.StatusPreconditionFailed:
		return refused
	case code == http.StatusConflict, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return untouched // another write of this key is under way; too fast; the body came too late
	case e.Code == "RequestTimeout", e.Code == "IncompleteBody", e.Code == "ExpiredToken", e.Code == "ExpiredTokenException":
		return untouched // sent as a 400
	case code == http.StatusNotImplemented, code == http.StatusInsufficientStorage, slices.Contains(full, e.Code):
		return fatal
	case code >= 500, code < 300: // 2xx: an error within an answer that began well
		return unknown
	}
	return fatal
}

func judgeNetwork(err error) verdict {
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &invalid), errors.As(err, &authority), errors.As(err, &hostname), errors.As(err, &verification), errors.As(err, &record):
		return fatal
	case strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return fatal
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return fatal
		}
		return untouched
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return untouched
	}
	return unknown
}

// isAbsent tells that there is no such key. Other things that are not there,
// the bucket, the user, the upload, have other codes.
func isAbsent(err error) bool {
	var e minio.ErrorResponse
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound && (e.Code == minio.NoSuchKey || e.Code == "NotFound")
}

// patience counts the attempts of one request and waits between them.
type patience struct {
	s    *Store
	made int
}

// next waits before another attempt. It returns err, explained, when there is
// to be none.
func (p *patience) next(ctx context.Context, err error) error {
	if p.made++; p.made >= p.s.limits.attempts {
		return p.s.explain(err)
	}
	wait := min(p.s.limits.backoff<<(p.made-1), 2*time.Second)
	timer := time.NewTimer(wait/2 + rand.N(wait/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// retry does what is as good done twice, until it is done, refused for good,
// or was tried often enough.
func retry[T any](ctx context.Context, s *Store, do func(ctx context.Context) (T, error)) (T, error) {
	p := patience{s: s}
	for {
		v, err := attempt(ctx, s.limits.timeout, do)
		if err == nil {
			return v, nil
		}
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		if verdict := judge(ctx, err); verdict == fatal || verdict == refused {
			return v, s.explain(err)
		}
		if err := p.next(ctx, err); err != nil {
			return v, err
		}
	}
}

// attempt does something once within a time of its own.
func attempt[T any](ctx context.Context, timeout time.Duration, do func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return do(ctx)
}

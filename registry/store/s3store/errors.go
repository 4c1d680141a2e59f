package s3store

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"kiln/registry/store"

	"github.com/minio/minio-go/v7"
)

// ErrUnfit: the service does not keep the conditions of writes, so that of two
// that swap a pointer at once both would win. Use another service, or a newer
// release of it.
var ErrUnfit = errors.New("the S3 service is not fit for a store")

// AccessError: the bucket cannot be used as asked.
type AccessError struct {
	At     string // bucket and endpoint
	Reason string
	Advice string // what to do about it
	Err    error  // what the service or the network said
}

func (e *AccessError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%s: %s", e.At, e.Reason)
	}
	return fmt.Sprintf("%s: %s: %v", e.At, e.Reason, e.Err)
}

func (e *AccessError) Unwrap() error { return e.Err }

// advice is what is known of an error code of S3: reason and what to do.
var advice = map[string][2]string{
	"NoSuchBucket":                                   {"there is no such bucket", "make it first (aws s3 mb s3://BUCKET), or correct --store"},
	"AllAccessDisabled":                              {"the bucket is disabled", "ask its owner"},
	"AccessDenied":                                   {"access is denied", "the credentials need s3:GetObject, s3:ListBucket, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads here"},
	"InvalidAccessKeyId":                             {"the service does not know the access key", "check AWS_ACCESS_KEY_ID or AWS_PROFILE, and that endpoint is the service that issued it"},
	"XAdminUserNotFound":                             {"the service does not know the access key", "check AWS_ACCESS_KEY_ID or AWS_PROFILE, and that endpoint is the service that issued it"},
	"SignatureDoesNotMatch":                          {"the secret key is not that of the access key", "check AWS_SECRET_ACCESS_KEY; a proxy that changes the Host header does this too"},
	"ExpiredToken":                                   {"the session has expired", "get new credentials"},
	"InvalidToken":                                   {"the session token is not valid", "check AWS_SESSION_TOKEN: it must go with the access key, or be unset"},
	"RequestTimeTooSkewed":                           {"this machine's clock is off", "set the clock"},
	"AuthorizationHeaderMalformed":                   {"the bucket is in another region", "give its region: --store 's3://…?region=…'"},
	"PermanentRedirect":                              {"the bucket is in another region, or wants another endpoint", "give its region: --store 's3://…?region=…'"},
	"IllegalLocationConstraintException":             {"the bucket is in another region", "give its region: --store 's3://…?region=…'"},
	"KMS.NotFoundException":                          {"there is no such KMS key", "check kms_key in --store"},
	"ServerSideEncryptionConfigurationNotFoundError": {"the service does not encrypt", "leave sse out of --store"},
}

// explain adds to an error what can be done about it.
func (s *Store) explain(err error) error {
	var e minio.ErrorResponse
	if errors.As(err, &e) {
		known, ok := advice[e.Code]
		switch {
		case ok:
		case e.StatusCode == http.StatusForbidden:
			known = advice["AccessDenied"]
		case e.StatusCode == http.StatusMovedPermanently, e.StatusCode == http.StatusTemporaryRedirect:
			known = advice["PermanentRedirect"]
		default:
			return err
		}
		reason := known[0]
		if e.Region != "" && strings.Contains(reason, "region") {
			reason += " (" + e.Region + ")"
		}
		return &AccessError{At: s.at, Reason: reason, Advice: known[1], Err: err}
	}
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &dns) || (errors.As(err, &op) && op.Op == "dial") {
		return &AccessError{At: s.at, Reason: "the service cannot be reached", Advice: "check endpoint in --store, and that the service runs", Err: err}
	}
	return err
}

// full are the codes of services that have no room left, or a quota.
var full = []string{"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "NoSpaceLeftOnDevice"}

// refusedWrite turns a denied write into store.ErrReadOnly, and one that found
// no room into store.ErrFull.
func refusedWrite(err error) error {
	var e minio.ErrorResponse
	switch {
	case !errors.As(err, &e):
		return err
	case e.StatusCode == http.StatusForbidden && e.Code == minio.AccessDenied:
		return fmt.Errorf("%w: %w", store.ErrReadOnly, err)
	case e.StatusCode == http.StatusInsufficientStorage, slices.Contains(full, e.Code):
		return fmt.Errorf("%w: %w", store.ErrFull, err)
	}
	return err
}

// checkCredentials refuses to ask as nobody, which would be denied less
// clearly.
func (s *Store) checkCredentials() error {
	value, err := s.api.GetCreds()
	if err == nil && value.AccessKeyID != "" {
		return nil
	}
	return &AccessError{
		At: s.at, Reason: "there are no credentials", Err: err,
		Advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run with a role",
	}
}

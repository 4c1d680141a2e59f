package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

// Code is an error code of the OCI distribution spec ("Error Codes"), or one
// of the few that kiln adds.
type Code string

const (
	CodeBlobUnknown         Code = "BLOB_UNKNOWN"
	CodeBlobUploadInvalid   Code = "BLOB_UPLOAD_INVALID"
	CodeUploadUnknown       Code = "BLOB_UPLOAD_UNKNOWN"
	CodeDigestInvalid       Code = "DIGEST_INVALID"
	CodeManifestBlobUnknown Code = "MANIFEST_BLOB_UNKNOWN"
	CodeManifestInvalid     Code = "MANIFEST_INVALID"
	CodeManifestUnknown     Code = "MANIFEST_UNKNOWN"
	CodeNameInvalid         Code = "NAME_INVALID"
	CodeNameUnknown         Code = "NAME_UNKNOWN"
	CodeSizeInvalid         Code = "SIZE_INVALID"
	CodeTagInvalid          Code = "TAG_INVALID"
	CodeUnauthorized        Code = "UNAUTHORIZED"
	CodeDenied              Code = "DENIED"
	CodeUnsupported         Code = "UNSUPPORTED"
	CodeTooManyRequests     Code = "TOOMANYREQUESTS"
	CodeRangeInvalid        Code = "RANGE_INVALID"
	CodeConflict            Code = "CONFLICT"
	// CodeCorrupt: stored bytes do not match their digest.
	CodeCorrupt Code = "CONTENT_CORRUPT"
	// CodeFull: the store has no room left. Nothing was written; reads work.
	CodeFull Code = "STORE_FULL"
)

// statuses is the one table from code to HTTP status.
var statuses = map[Code]int{
	CodeBlobUnknown:         http.StatusNotFound,
	CodeBlobUploadInvalid:   http.StatusBadRequest,
	CodeUploadUnknown:       http.StatusNotFound,
	CodeDigestInvalid:       http.StatusBadRequest,
	CodeManifestBlobUnknown: http.StatusNotFound,
	CodeManifestInvalid:     http.StatusBadRequest,
	CodeManifestUnknown:     http.StatusNotFound,
	CodeNameInvalid:         http.StatusBadRequest,
	CodeNameUnknown:         http.StatusNotFound,
	CodeSizeInvalid:         http.StatusBadRequest,
	CodeTagInvalid:          http.StatusBadRequest,
	CodeUnauthorized:        http.StatusUnauthorized,
	CodeDenied:              http.StatusForbidden,
	CodeUnsupported:         http.StatusMethodNotAllowed,
	CodeTooManyRequests:     http.StatusTooManyRequests,
	CodeRangeInvalid:        http.StatusRequestedRangeNotSatisfiable,
	CodeConflict:            http.StatusConflict,
	CodeCorrupt:             http.StatusInternalServerError,
	CodeFull:                http.StatusInsufficientStorage,
}

// Status is the HTTP status of a code; 500 for an unknown one.
func (c Code) Status() int {
	if s, ok := statuses[c]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// Error is a coded error. errors.Is(err, Code) matches by code, also across
// the wire.
type Error struct {
	Code    Code
	Message string // for the person; lower case, no code in it
	Err     error  // cause, never shown to strangers
}

// Errorf makes a coded error; a %w in format becomes its cause.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, Message: err.Error(), Err: errors.Unwrap(err)}
}

func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches a Code used as a target, and fs.ErrNotExist for whatever is
// unknown, so that packages that know no registry can tell absence.
func (e *Error) Is(target error) bool {
	if target == fs.ErrNotExist {
		return e.Code.Status() == http.StatusNotFound
	}
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Error lets a Code be a target of errors.Is.
func (c Code) Error() string { return string(c) }

// ErrorCode returns the code of the outermost coded error, or "".
func ErrorCode(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Package ociserver serves a registry.Registry over HTTP as the OCI
// distribution spec 1.1 says, with what Docker's clients need besides and the
// tag parameters of the draft of 1.2 (PUT manifests/<digest>?tag=).
//
// Parse reads a request, a table finds its handler, and each handler is a few
// calls of the registry. It knows no users: a handler in front refuses whom it
// does not like, by what Parse says. Bytes pass through and are never held
// whole, manifests excepted; the registry checks their digests.
package ociserver

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// Options of New; the zero value is fine.
type Options struct {
	// Log gets the causes of internal errors. By default they are discarded.
	Log *slog.Logger
	// MaxPage bounds a page of tags or repositories; 1000 by default.
	MaxPage int
	// MaxTransfers bounds the blobs on their way in at once, in this process;
	// more are answered TOOMANYREQUESTS. 256 by default.
	MaxTransfers int
	// MaxUploads bounds the unfinished uploads that were begun here within the
	// last hour; more are answered TOOMANYREQUESTS. 10000 by default.
	MaxUploads int
	// CountUploads counts the unfinished uploads in the store, up to a limit, where
	// others than this server finish some. By default it goes by its own.
	CountUploads func(ctx context.Context, limit int) (int, error)
	// MaxHeaderBytes bounds a request's header and URL; 32 KiB by default.
	MaxHeaderBytes int
	// IdleTimeout ends a transfer that does not move; a minute by default.
	IdleTimeout time.Duration
	// MayPush says whether the caller may push to repo, asked before a manifest
	// is read into memory; the registry is who refuses. By default all are read.
	MayPush func(ctx context.Context, repo string) bool
	// FindBlob names an image that has a blob, for mounts that do not say from
	// where; CodeBlobUnknown if there is none that the caller may pull from, as
	// the digest alone opens nothing. By default such mounts become uploads.
	FindBlob func(ctx context.Context, d digest.Digest) (image string, err error)
	// Redirect says where a blob, which repo has, can be read without
	// credentials for a while; "" to send it from here, as by default.
	Redirect func(ctx context.Context, repo string, d digest.Digest) (url string, err error)
	// Parsed is what Parse says of a request, for who has asked it before.
	Parsed func(r *http.Request) (Request, error)
}

// Server is the http.Handler of /v2/. Safe for concurrent use.
type Server struct {
	registry  registry.Registry
	log       *slog.Logger
	maxPage   int
	maxHeader int
	idle      time.Duration
	transfers chan struct{} // a place for each
	large     chan struct{} // a place for each large manifest that is read
	sessions  *sessions
	mayPush   func(context.Context, string) bool
	findBlob  func(context.Context, digest.Digest) (string, error)
	redirect  func(context.Context, string, digest.Digest) (string, error)
	parse     func(*http.Request) (Request, error)
}

var _ http.Handler = (*Server)(nil)

// New makes a server of reg.
func New(reg registry.Registry, opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.IdleTimeout <= 0 {
		opts.IdleTimeout = time.Minute
	}
	if opts.Parsed == nil {
		opts.Parsed = func(r *http.Request) (Request, error) { return Parse(r.Method, r.URL) }
	}
	return &Server{
		registry:  reg,
		log:       opts.Log,
		maxPage:   orDefault(opts.MaxPage, 1000),
		maxHeader: orDefault(opts.MaxHeaderBytes, 32<<10),
		idle:      opts.IdleTimeout,
		transfers: make(chan struct{}, orDefault(opts.MaxTransfers, 256)),
		large:     make(chan struct{}, maxLarge),
		sessions:  newSessions(orDefault(opts.MaxUploads, 10_000), opts.CountUploads),
		mayPush:   opts.MayPush,
		findBlob:  opts.FindBlob,
		redirect:  opts.Redirect,
		parse:     opts.Parsed,
	}
}

func orDefault(n, d int) int {
	if n > 0 {
		return n
	}
	return d
}

// handlers has one function for each kind of request. An error that it returns
// is what the client is answered.
var handlers = map[Kind]func(*Server, http.ResponseWriter, *http.Request, Request) error{
	Ping:           (*Server).ping,
	Catalog:        (*Server).catalog,
	TagList:        (*Server).tagList,
	ReferrerList:   (*Server).referrerList,
	ManifestGet:    (*Server).manifestGet,
	ManifestPut:    (*Server).manifestPut,
	ManifestDelete: (*Server).manifestDelete,
	BlobGet:        (*Server).blobGet,
	BlobDelete:     (*Server).blobDelete,
	UploadStart:    (*Server).uploadStart,
	UploadMount:    (*Server).uploadMount,
	UploadWhole:    (*Server).uploadWhole,
	UploadStatus:   (*Server).uploadStatus,
	UploadChunk:    (*Server).uploadChunk,
	UploadFinish:   (*Server).uploadFinish,
	UploadCancel:   (*Server).uploadCancel,
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	values := [2]string{"registry/2.0", "nosniff"}
	h["Docker-Distribution-Api-Version"] = values[0:1:1]
	h["X-Content-Type-Options"] = values[1:2:2]
	setRequestID(h)
	s.limitBody(w, r)
	var q Request
	err := s.checkHeader(r)
	if err == nil {
		q, err = s.parse(r)
	}
	if err == nil {
		err = handlers[q.Kind](s, w, r, q)
	}
	if err != nil {
		s.fail(w, r, q, err)
	}
}

// checkHeader bounds what a client can make us look at.
func (s *Server) checkHeader(r *http.Request) error {
	n := len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	if n > s.maxHeader {
		return &wireError{status: http.StatusRequestHeaderFieldsTooLarge, code: codeUnknown, message: "the request's header is too large"}
	}
	return nil
}

func (s *Server) ping(w http.ResponseWriter, r *http.Request, _ Request) error {
	w.Header().Set("Content-Type", "application/json")
	s.writeAll(w, r, []byte("{}"))
	return nil
}

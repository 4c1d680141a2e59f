package promotionhttp

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"kiln/registry/promotion"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Where the server answers.
const (
	BasePath    = "/api/v1/"
	OpenAPIPath = "/openapi.json"
)

// Config is what New needs.
type Config struct {
	Operations promotion.Operations
	// Tokens are the robot tokens of the store. Without them, as on a server
	// that asks nobody who they are, there are no such paths.
	Tokens promotion.Tokens
	// Identity names who asks, for records and trust entries. If it is nil or
	// returns "", the promotion key's id stands there.
	Identity func(*http.Request) string
	// Host is put in front of references: "registry.example.com",
	// "127.0.0.1:5000". If empty it is the request's Host.
	Host string
	Log  *slog.Logger // of internal errors; silent if nil
}

// Server is the http.Handler of BasePath and OpenAPIPath. Safe for concurrent
// use.
type Server struct {
	ops      promotion.Operations
	tokens   promotion.Tokens
	identity func(*http.Request) string
	host     string
	log      *slog.Logger
	mux      *http.ServeMux
	methods  map[string][]string // of each path
	openAPI  []byte
}

var _ http.Handler = (*Server)(nil)

// New makes a server of cfg.Operations.
func New(cfg Config) (*Server, error) {
	if cfg.Operations == nil {
		return nil, errors.New("promotionhttp: operations are required")
	}
	if cfg.Host != "" && !isHost(cfg.Host) {
		return nil, fmt.Errorf("promotionhttp: %q is no host of a reference: want a name with a dot, or a port", cfg.Host)
	}
	s := &Server{
		ops: cfg.Operations, tokens: cfg.Tokens, identity: cfg.Identity, host: cfg.Host, log: cfg.Log,
		mux: http.NewServeMux(), methods: map[string][]string{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	config := huma.DefaultConfig("kiln", "1")
	config.Info.Description = "What the channels of images hold, and how they are moved."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // we serve the document, once made
	config.CreateHooks = nil                                             // bodies as they are, without $schema
	config.RejectUnknownQueryParameters = true
	config.Transformers = []huma.Transformer{fromHuma}
	api := humago.New(s.mux, config)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) { next(&answer{humaContext: ctx}) })
	s.register(api)
	loosen(api.OpenAPI().Components.Schemas.Map())
	var err error
	if s.openAPI, err = json.Marshal(api.OpenAPI()); err != nil {
		return nil, fmt.Errorf("promotionhttp: describe the API: %w", err)
	}
	s.methods[OpenAPIPath] = []string{http.MethodGet}
	s.mux.HandleFunc("GET "+OpenAPIPath, s.serveOpenAPI)
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	r = s.withCaller(w, r)
	begun := &begun{ResponseWriter: w}
	w = begun
	defer s.recover(begun, r)
	if p := s.check(w, r); p != nil {
		p.RequestID = callerOf(r.Context()).requestID
		p.write(w)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// check refuses what no operation would understand.
func (s *Server) check(w http.ResponseWriter, r *http.Request) *Problem {
	methods, ok := s.methods[r.URL.Path]
	if !ok {
		return newProblem(http.StatusNotFound, promotion.KindInvalid, "no such path; %s lists them", OpenAPIPath)
	}
	if !allowed(methods, r.Method) {
		w.Header().Set("Allow", strings.Join(methods, ", "))
		return newProblem(http.StatusMethodNotAllowed, promotion.KindInvalid, "the method is not one of %s", strings.Join(methods, ", "))
	}
	if p := checkQuery(r.URL.RawQuery); p != nil {
		return p
	}
	return readBody(w, r)
}

func allowed(methods []string, method string) bool {
	for _, m := range methods {
		if m == method || m == http.MethodGet && method == http.MethodHead {
			return true
		}
	}
	return false
}

// recover answers for a bug, and keeps it from strangers. An answer that has
// begun is cut.
func (s *Server) recover(w *begun, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause)
	}
	p := s.fail(r.Context(), fmt.Errorf("panic: %v", cause))
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	p.write(w)
}

// begun knows whether the answer has begun.
type begun struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (b *begun) WriteHeader(status int) {
	b.begun = true
	b.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (b *begun) Write(p []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (s *Server) serveOpenAPI(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(s.openAPI); err != nil {
		s.log.DebugContext(r.Context(), "client left", "err", err)
	}
}

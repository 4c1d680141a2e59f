package ociserver

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"kiln/registry"

	"github.com/opencontainers/go-digest"
)

// Kind is what a request asks for. The comments name the endpoints of the
// distribution spec ("Endpoints").
type Kind int

// Kinds of requests; GET and HEAD of one thing are one kind.
const (
	Ping           Kind = iota + 1 // end-1
	BlobGet                        // end-2
	ManifestGet                    // end-3
	UploadStart                    // end-4a, and end-11 from what cannot be a repository
	UploadWhole                    // end-4b
	UploadChunk                    // end-5
	UploadFinish                   // end-6
	ManifestPut                    // end-7
	TagList                        // end-8a, end-8b
	ManifestDelete                 // end-9
	BlobDelete                     // end-10
	UploadMount                    // end-11
	ReferrerList                   // end-12a, end-12b
	UploadStatus                   // end-13
	UploadCancel                   // end-14
	Catalog                        // GET /v2/_catalog, of Docker's API
)

// Request is a request whose every part is well-formed.
type Request struct {
	Kind     Kind
	Repo     string        // of all but Ping and Catalog
	From     string        // UploadMount: the repository that has the blob; "" where the client does not say
	Digest   digest.Digest // of what is read, pushed or deleted; "" where a tag names it
	Tag      string        // ManifestGet, ManifestPut, ManifestDelete by tag
	Tags     []string      // ManifestPut by digest: tags to set (?tag=)
	UploadID string        // the registry knows what is well-formed

	N            int    // TagList, Catalog: page size; -1 if not given
	Last         string // lists: what the page before ended with
	ArtifactType string // ReferrerList: the filter, "" for none
}

// maxTags bounds the tags that one push sets.
const maxTags = 100

// Parse reads a request from its method and URL. It is what a filter in front
// of the server should decide on. Its errors are coded, or tell that there is
// no such page or no such method on it.
func Parse(method string, u *url.URL) (Request, error) {
	rest, ok := strings.CutPrefix(u.Path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return Request{}, notFound("no such page; the registry is at /v2/")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Request{}, badRequest("the query is malformed")
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	switch rest {
	case "", "/":
		return Request{Kind: Ping}, allow(method, http.MethodGet)
	case "/_catalog":
		q := Request{Kind: Catalog}
		return page(q, query, allow(method, http.MethodGet))
	}
	return parseRepo(method, strings.Split(rest[1:], "/"), query)
}

// parseRepo reads what is behind /v2/: a repository, then what is in it.
func parseRepo(method string, parts []string, query url.Values) (Request, error) {
	n := len(parts)
	is := func(tail ...string) bool { return endsIn(parts, tail) }
	repo := func(tail int) Request { return Request{Repo: strings.Join(parts[:n-tail], "/")} }
	var q Request
	var err error
	switch last := parts[n-1]; {
	case is("blobs", "uploads", ""):
		q, err = parseUpload(method, repo(3), query)
	case is("blobs", "uploads"):
		q, err = parseUpload(method, repo(2), query)
	case is("blobs", "uploads", "*"):
		q, err = parseSession(method, repo(3), last, query)
	case is("blobs", "*"):
		q, err = parseBlob(method, repo(2), last)
	case is("manifests", "*"):
		q, err = parseManifest(method, repo(2), last, query)
	case is("tags", "list"):
		q = repo(2)
		q.Kind = TagList
		q, err = page(q, query, allow(method, http.MethodGet))
	case is("referrers", "*"):
		q, err = parseReferrers(method, repo(2), last, query)
	default:
		return Request{}, notFound("no such page in the distribution API")
	}
	if err != nil {
		return Request{}, err
	}
	if err := registry.CheckName(q.Repo); err != nil {
		return Request{}, err
	}
	return q, nil
}

// endsIn tells a path with something in front of tail, in which "*" is anything
// but empty.
func endsIn(parts, tail []string) bool {
	n := len(parts) - len(tail)
	if n < 1 {
		return false
	}
	for i, want := range tail {
		if got := parts[n+i]; want == "*" && got == "" || want != "*" && got != want {
			return false
		}
	}
	return true
}

func parseUpload(method string, q Request, query url.Values) (Request, error) {
	if err := allow(method, http.MethodPost); err != nil {
		return q, err
	}
	q.Kind = UploadStart
	switch {
	case query.Has("mount"):
		q.Digest, q.From = digest.Digest(query.Get("mount")), query.Get("from")
		if q.From == "" || registry.CheckName(q.From) == nil {
			q.Kind = UploadMount
		}
		return q, registry.CheckDigest(q.Digest)
	case query.Has("digest"):
		q.Kind, q.Digest = UploadWhole, digest.Digest(query.Get("digest"))
		return q, registry.CheckDigest(q.Digest)
	}
	return q, nil
}

func parseSession(method string, q Request, id string, query url.Values) (Request, error) {
	q.UploadID = id
	switch method {
	case http.MethodGet:
		q.Kind = UploadStatus
	case http.MethodPatch:
		q.Kind = UploadChunk
	case http.MethodDelete:
		q.Kind = UploadCancel
	case http.MethodPut:
		q.Kind, q.Digest = UploadFinish, digest.Digest(query.Get("digest"))
		return q, registry.CheckDigest(q.Digest)
	}
	return q, allow(method, http.MethodGet, http.MethodPatch, http.MethodPut, http.MethodDelete)
}

func parseBlob(method string, q Request, last string) (Request, error) {
	q.Kind, q.Digest = BlobGet, digest.Digest(last)
	if method == http.MethodDelete {
		q.Kind = BlobDelete
	}
	if err := allow(method, http.MethodGet, http.MethodDelete); err != nil {
		return q, err
	}
	return q, registry.CheckDigest(q.Digest)
}

func parseManifest(method string, q Request, last string, query url.Values) (Request, error) {
	switch method {
	case http.MethodPut:
		q.Kind = ManifestPut
	case http.MethodDelete:
		q.Kind = ManifestDelete
	default:
		q.Kind = ManifestGet
	}
	if err := allow(method, http.MethodGet, http.MethodPut, http.MethodDelete); err != nil {
		return q, err
	}
	if !strings.Contains(last, ":") {
		q.Tag = last
		return q, registry.CheckTag(last)
	}
	q.Digest = digest.Digest(last)
	if q.Kind == ManifestPut {
		q.Tags = query["tag"]
	}
	if len(q.Tags) > maxTags {
		return q, badRequest("more than " + strconv.Itoa(maxTags) + " tags in one push")
	}
	for _, tag := range q.Tags {
		if err := registry.CheckTag(tag); err != nil {
			return q, err
		}
	}
	return q, registry.CheckDigest(q.Digest)
}

func parseReferrers(method string, q Request, last string, query url.Values) (Request, error) {
	q.Kind, q.Digest = ReferrerList, digest.Digest(last)
	q.ArtifactType, q.Last = query.Get("artifactType"), query.Get("last")
	if err := allow(method, http.MethodGet); err != nil {
		return q, err
	}
	return q, registry.CheckDigest(q.Digest)
}

// page reads the parameters of a list.
func page(q Request, query url.Values, err error) (Request, error) {
	if err != nil {
		return Request{}, err
	}
	q.N, q.Last = -1, query.Get("last")
	if s := query.Get("n"); s != "" {
		n, err := strconv.ParseUint(s, 10, 63)
		if err != nil || s[0] == '+' {
			return Request{}, &wireError{status: http.StatusBadRequest, code: "PAGINATION_NUMBER_INVALID", message: "n is no number of results"}
		}
		q.N = int(min(n, 1<<30))
	}
	return q, nil
}

// allow refuses a method that is not one of those.
func allow(method string, methods ...string) error {
	if slices.Contains(methods, method) {
		return nil
	}
	if methods[0] == http.MethodGet {
		methods = append([]string{http.MethodGet, http.MethodHead}, methods[1:]...)
	}
	return &wireError{status: http.StatusMethodNotAllowed, code: registry.CodeUnsupported, message: "this page takes " + strings.Join(methods, ", "), allow: strings.Join(methods, ", ")}
}

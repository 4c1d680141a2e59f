package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"kiln/registry/access"
	"kiln/registry/ociserver"
	"kiln/registry/promotionhttp"
)

// requestIDHeader carries the id of a request, in and out.
const requestIDHeader = "X-Request-Id"

// request is what one request is about, for logs, metrics and limits. Handlers
// further in fill what they alone know.
type request struct {
	kind   string // of a fixed set: a label of metrics
	method string // of a fixed set
	repo   string
	tag    string
	digest string
	id     string
	remote string // address of the client, as far as it can be trusted

	who   *access.Slot // learns the identity
	trace string       // id of the trace, if there is one

	oci    ociserver.Request // what /v2/ is asked for
	ociErr error             // why it is not answered
}

type requestKey struct{}

// requestContext is the context of a request that was observed.
type requestContext struct {
	context.Context
	request *request
}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	if key == (requestKey{}) {
		return c.request
	}
	return c.Context.Value(key)
}

// requestOf is what observe put into ctx; never nil.
func requestOf(ctx context.Context) *request {
	if q, ok := ctx.Value(requestKey{}).(*request); ok {
		return q
	}
	return &request{}
}

// ociKinds names the requests of /v2/.
var ociKinds = map[ociserver.Kind]string{
	ociserver.Ping:           "ping",
	ociserver.Catalog:        "catalog",
	ociserver.TagList:        "tag_list",
	ociserver.ReferrerList:   "referrer_list",
	ociserver.ManifestGet:    "manifest_get",
	ociserver.ManifestPut:    "manifest_put",
	ociserver.ManifestDelete: "manifest_delete",
	ociserver.BlobGet:        "blob_get",
	ociserver.BlobDelete:     "blob_delete",
	ociserver.UploadStart:    "upload_start",
	ociserver.UploadMount:    "upload_mount",
	ociserver.UploadWhole:    "upload_whole",
	ociserver.UploadStatus:   "upload_status",
	ociserver.UploadChunk:    "upload_chunk",
	ociserver.UploadFinish:   "upload_finish",
	ociserver.UploadCancel:   "upload_cancel",
}

// apiKinds are the paths of /api/v1/ that are told apart.
var apiKinds = []string{
	"approvals", "ancestry", "channels", "checks", "collections", "decisions", "deletions", "events", "history", "images", "leases",
	"promotions", "renewals", "resolve", "restorations", "revocations", "rollbacks", "tokens", "trust", "trust/root", "versions",
}

// methods that are told apart.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}

// paths of the server itself.
const (
	healthPath  = "/healthz"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
	tokenPath   = "/v2/token"
)

// requestAbout reads what r is about. Kind and method are of fixed sets
// whatever a client sends.
func requestAbout(r *http.Request) *request {
	q := &request{method: "other"}
	if slices.Contains(methods, r.Method) {
		q.method = r.Method
	}
	path := r.URL.Path
	switch api, isAPI := strings.CutPrefix(path, promotionhttp.BasePath); {
	case isAPI && slices.Contains(apiKinds, api):
		q.kind = "api_" + strings.ReplaceAll(api, "/", "_")
	case isAPI:
		q.kind = "api_other"
	case path == tokenPath:
		q.kind = "token"
	case path == healthPath, path == readyPath, path == metricsPath:
		q.kind = path[1:]
	case path == promotionhttp.OpenAPIPath:
		q.kind = "openapi"
	case strings.HasPrefix(path, "/v2/") || path == "/v2":
		q.readOCI(r)
	default:
		q.kind = "other"
	}
	return q
}

func (q *request) readOCI(r *http.Request) {
	q.oci, q.ociErr = ociserver.Parse(r.Method, r.URL)
	if q.ociErr != nil {
		q.kind = "invalid"
		return
	}
	q.kind, q.repo, q.tag, q.digest = ociKinds[q.oci.Kind], q.oci.Repo, q.oci.Tag, string(q.oci.Digest)
}

// isUpload tells requests that may carry a blob in.
func (q *request) isUpload() bool {
	return q.kind == "upload_whole" || q.kind == "upload_chunk" || q.kind == "upload_finish"
}

// isLong tells requests that may rightly take longer than any fixed time.
func (q *request) isLong() bool {
	return q.isUpload() || q.kind == "blob_get" || q.kind == "api_collections" || q.kind == "api_events"
}

// isProbe tells requests of machines that watch.
func (q *request) isProbe() bool {
	return q.kind == healthPath[1:] || q.kind == readyPath[1:] || q.kind == metricsPath[1:]
}

// identify finds where a request comes from and its id. A proxy that is not
// trusted is the client, and what it says about others is not believed.
func (q *request) identify(r *http.Request, proxies []netip.Prefix) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	q.remote = host
	if trusted(host, proxies) {
		q.remote = forwardedFor(host, r.Header.Values("X-Forwarded-For"), proxies)
		q.id = cleanID(r.Header.Get(requestIDHeader))
	}
	if q.id == "" {
		var b [8]byte
		rand.Read(b[:]) // never fails
		q.id = hex.EncodeToString(b[:])
	}
}

func trusted(addr string, proxies []netip.Prefix) bool {
	a, err := netip.ParseAddr(addr)
	return err == nil && slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// forwardedFor is the last address of the chain that no trusted proxy has:
// what stands in front of it is the client's own claim.
func forwardedFor(peer string, headers []string, proxies []netip.Prefix) string {
	chain := strings.Split(strings.Join(headers, ","), ",")
	for i := len(chain) - 1; i >= 0 && trusted(peer, proxies); i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(chain[i]))
		if err != nil {
			break
		}
		peer = a.String()
	}
	return peer
}

// cleanID is an id that can stand in a log, or "".
func cleanID(id string) string {
	if len(id) > 64 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return ""
	}
	return id
}

package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/registry"
	"kiln/registry/promotionhttp"
)

// limited bounds how many requests run at once and how long those may take
// that move no blobs. Probes are always answered. What is too much is told to
// come again: 503 with Retry-After.
func limited(next http.Handler, c limitsConfig) http.Handler {
	slots := make(chan struct{}, c.requests)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := requestOf(r.Context())
		if q.isProbe() {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
		default:
			w.Header().Set("Retry-After", "1")
			refuse(w, r, http.StatusServiceUnavailable, registry.CodeTooManyRequests, "the server is busy; try again in a moment")
			return
		}
		if !q.isLong() {
			ctx := withDeadline(r.Context(), time.Now().Add(c.requestTimeout))
			defer ctx.finish()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers in the words of the API that was asked.
func refuse(w http.ResponseWriter, r *http.Request, status int, code registry.Code, message string) {
	var body any
	contentType := "application/json"
	switch {
	case strings.HasPrefix(r.URL.Path, "/v2"):
		body = map[string]any{"errors": []map[string]any{{"code": code, "message": message}}}
	case strings.HasPrefix(r.URL.Path, promotionhttp.BasePath):
		contentType = "application/problem+json"
		body = map[string]any{"status": status, "title": http.StatusText(status), "detail": message, "kind": "internal"}
	default:
		http.Error(w, message, status)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(body)
}

// boundedBlobs is a registry that takes no blob of more than max bytes.
type boundedBlobs struct {
	registry.Registry
	max int64
}

func (b *boundedBlobs) tooLarge() error {
	return registry.Errorf(registry.CodeSizeInvalid, "the blob has more than the %d bytes that this server takes", b.max)
}

// ManifestByTag implements registry.TagFollower.
func (b *boundedBlobs) ManifestByTag(ctx context.Context, repo, tag string) (ocispec.Descriptor, []byte, error) {
	return registry.ManifestByTag(ctx, b.Registry, repo, tag)
}

// PushBlob implements registry.Writer.
func (b *boundedBlobs) PushBlob(ctx context.Context, repo string, desc ocispec.Descriptor, r io.Reader) error {
	if desc.Size > b.max {
		return b.tooLarge()
	}
	return b.Registry.PushBlob(ctx, repo, desc, &boundedReader{r, b.max, b})
}

// StartUpload implements registry.Writer.
func (b *boundedBlobs) StartUpload(ctx context.Context, repo string) (registry.Upload, error) {
	u, err := b.Registry.StartUpload(ctx, repo)
	if err != nil {
		return nil, err
	}
	return &boundedUpload{u, b}, nil
}

// ResumeUpload implements registry.Writer.
func (b *boundedBlobs) ResumeUpload(ctx context.Context, repo, id string) (registry.Upload, error) {
	u, err := b.Registry.ResumeUpload(ctx, repo, id)
	if err != nil {
		return nil, err
	}
	return &boundedUpload{u, b}, nil
}

type boundedUpload struct {
	registry.Upload
	of *boundedBlobs
}

// Append implements registry.Upload.
func (u *boundedUpload) Append(ctx context.Context, offset int64, r io.Reader) error {
	return u.Upload.Append(ctx, offset, &boundedReader{r, u.of.max - u.Size(), u.of})
}

// boundedReader ends with an error where there is more than left.
type boundedReader struct {
	r    io.Reader
	left int64
	of   *boundedBlobs
}

// Read implements io.Reader.
func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, b.of.tooLarge()
	}
	return n, err
}

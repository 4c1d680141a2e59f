package promotionhttp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"kiln/registry/promotion"
)

type resolveInput struct {
	Image       string `query:"image" required:"true"`
	Channel     string `query:"channel" required:"true"`
	IfNoneMatch string `header:"If-None-Match" doc:"ETag of an answer that the client has: 304 if it still is the answer"`
}

type resolveOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   *promotion.Resolution
}

func (s *Server) resolve(ctx context.Context, in *resolveInput) (*resolveOutput, error) {
	host := callerOf(ctx).host
	if !isHost(host) {
		p := newProblem(http.StatusBadRequest, promotion.KindInvalid, "%q in the Host header is no host of a reference: ask by a name with a dot, or with the port", clip(host))
		p.RequestID = callerOf(ctx).requestID
		return nil, p
	}
	r, err := s.ops.Resolve(ctx, promotion.ResolveRequest{Image: in.Image, Channel: in.Channel})
	if err != nil {
		return nil, err
	}
	r.Reference = host + "/" + r.Image + "@" + string(r.Digest)
	tag, err := etag(r)
	if err != nil {
		return nil, err
	}
	if matches(in.IfNoneMatch, tag) {
		return &resolveOutput{Status: http.StatusNotModified, ETag: tag}, nil
	}
	return &resolveOutput{Status: http.StatusOK, ETag: tag, Body: &r}, nil
}

// etag is the strong entity tag of an answer: the same for the same JSON.
func etag(r promotion.Resolution) (string, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return "", fmt.Errorf("encode the resolution of %s: %w", r.Image, err)
	}
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:]) + `"`, nil
}

// matches compares an If-None-Match header weakly, as RFC 9110 section 13.1.2
// says. Our tags hold no comma.
func matches(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

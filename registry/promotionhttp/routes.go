package promotionhttp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"kiln/registry/promotion"

	"github.com/danielgtaylor/huma/v2"
)

// register adds every operation to api.
func (s *Server) register(api huma.API) {
	add(s, api, "GET", "images", "list-images", "List the images in byte order", s.images)
	add(s, api, "GET", "versions", "list-versions", "List the versions of an image, newest first", s.versions)
	add(s, api, "GET", "ancestry", "ancestry", "What a version says it was baked on, and what was baked on it", s.ancestry)
	add(s, api, "GET", "channels", "list-channels", "List the channels of an image, in the order they are passed", s.channels)
	add(s, api, "GET", "resolve", "resolve", "What a channel holds, with all that is needed to check it offline", s.resolve)
	add(s, api, "GET", "history", "list-history", "List the ledger of an image, newest first", s.history)
	add(s, api, "GET", "promotions", "list-promotions", "List the promotions in the ledger of an image, newest first; a page may hold fewer than its limit", s.promotions)
	add(s, api, "POST", "promotions", "promote", "Move a channel to a version, if trust and policy allow it", s.promote)
	add(s, api, "GET", "checks", "check", "What a promotion would say, fact by fact; nothing moves", s.checkPromotion)
	add(s, api, "GET", "decisions", "list-decisions", "What was decided about promotions and rollbacks, newest first; one of them whole", s.decisions)
	add(s, api, "POST", "rollbacks", "rollback", "Move a channel back to what it held before", s.rollback)
	add(s, api, "POST", "renewals", "renew", "Issue the signed statements of channels anew", s.renew)
	add(s, api, "GET", "revocations", "list-revocations", "List what is revoked or soon will be, by image and digest; a page may hold fewer than its limit", s.revocations)
	add(s, api, "POST", "revocations", "revoke", "Declare a version unusable, now or from a time on", s.revoke)
	add(s, api, "POST", "restorations", "restore", "Take a revocation back", s.restore)
	add(s, api, "GET", "approvals", "list-approvals", "List who approved a version, checked against the trust as it is now", s.approvals)
	add(s, api, "POST", "approvals", "approve", "Say yes to a promotion", s.approve)
	add(s, api, "GET", "trust", "list-trust", "List which keys and identities may do what", s.trust)
	add(s, api, "POST", "trust", "add-trust", "List a key or an identity, or change the channels and dates of its entry", s.addTrust)
	add(s, api, "DELETE", "trust", "remove-trust", "Remove the entries of a key or an identity", s.removeTrust)
	add(s, api, "POST", "trust/root", "set-trust-root", "Set the Sigstore trusted root that identities are held against", s.setTrustRoot)
	add(s, api, "GET", "leases", "list-leases", "List the leases, by digest and holder; a page may hold fewer than its limit", s.leases)
	add(s, api, "POST", "leases", "lease", "Say that a digest is run, so that it is not collected; again extends", s.lease)
	add(s, api, "DELETE", "leases", "release-lease", "End a lease before its time", s.release)
	add(s, api, "POST", "deletions", "delete", "Remove a version with its tags and what is attached, unless something needs it", s.delete)
	add(s, api, "POST", "collections", "collect", "Remove what nothing reaches, or say what would be removed", s.collect)
	if s.tokens != nil {
		add(s, api, "GET", "tokens", "list-tokens", "List the robot tokens, without their secrets", s.listTokens)
		add(s, api, "POST", "tokens", "create-token", "Make a robot token, whose secret is shown this once", s.createToken)
		add(s, api, "DELETE", "tokens", "revoke-token", "Revoke a robot token and the sessions made of it, at once", s.revokeToken)
	}
	for _, path := range []string{"promotions", "rollbacks"} {
		responses := api.OpenAPI().Paths[BasePath+path].Post.Responses
		responses["201"] = &huma.Response{Description: "The channel moved", Content: responses["200"].Content}
		responses["200"].Description = "The channel held that already: the existing record"
	}
	responses := api.OpenAPI().Paths[BasePath+"resolve"].Get.Responses
	responses["304"] = &huma.Response{Description: "The answer is the one with the ETag in If-None-Match"}
}

// loosen keeps a client that holds an answer to the letter of the document from
// breaking when answers get more members. Requests stay as they are, with all
// that they are made of: a member that is not understood is refused, as a
// misspelt keep_younger would have versions removed.
func loosen(schemas map[string]*huma.Schema) {
	delete(schemas, "ErrorModel") // huma's, which fromHuma replaces
	delete(schemas, "ErrorDetail")
	asked := map[string]bool{}
	for name := range schemas {
		if strings.HasSuffix(name, "Request") {
			refer(schemas, &huma.Schema{Ref: schemaRef + name}, asked)
		}
	}
	for name, schema := range schemas {
		if !asked[name] {
			schema.AdditionalProperties = nil
		}
	}
}

// schemaRef is in front of a schema's name where another refers to it.
const schemaRef = "#/components/schemas/"

// refer notes the schemas that one is made of.
func refer(schemas map[string]*huma.Schema, in *huma.Schema, noted map[string]bool) {
	if in == nil {
		return
	}
	if name, ok := strings.CutPrefix(in.Ref, schemaRef); ok && !noted[name] {
		noted[name] = true
		refer(schemas, schemas[name], noted)
	}
	refer(schemas, in.Items, noted)
	for _, property := range in.Properties {
		refer(schemas, property, noted)
	}
}

// add registers one operation, whose errors become problems.
func add[I, O any](s *Server, api huma.API, method, path, id, summary string, handle func(context.Context, *I) (*O, error)) {
	path = BasePath + path
	s.methods[path] = append(s.methods[path], method)
	huma.Register(api, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		BodyReadTimeout: -1, // read already
		Responses:       problemResponses(api, method),
	}, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			return nil, s.fail(ctx, err)
		}
		return out, nil
	})
}

// fail makes the answer of an error, and logs what is the server's fault.
func (s *Server) fail(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	p := problemOf(ctx, err)
	if p.Status >= http.StatusInternalServerError {
		level := slog.LevelError
		if ctx.Err() != nil {
			level = slog.LevelDebug // the client left
		}
		s.log.Log(context.WithoutCancel(ctx), level, "request failed", "request_id", p.RequestID, "err", err)
	}
	return p
}

// output is a body and its status.
type output[T any] struct {
	Status int
	Body   T
}

func answered[T any](body T, err error) (*output[T], error) {
	return &output[T]{Status: http.StatusOK, Body: body}, err
}

// created is the answer to what moved a channel, or did not have to.
func created(p promotion.Promotion, err error) (*output[promotion.Promotion], error) {
	out, err := answered(p, err)
	if !p.Unchanged {
		out.Status = http.StatusCreated
	}
	return out, err
}

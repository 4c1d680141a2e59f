package access

import (
	"context"
	"errors"
	"log/slog"

	"kiln/registry"
	"kiln/registry/promotion"
)

// Audit writes one structured line for each write that was asked for, done or
// not: message "audit", with verb, identity, outcome (ok, denied or failed),
// and what they are about: repo, tag, digest, channel, token, key, request_id.
// It stands in front of the guards, so that it sees denials. Reading is not
// its business. No line holds a credential.
type Audit struct {
	log       *slog.Logger
	requestID func(context.Context) string
}

// NewAudit writes to log; requestID finds the id of a request, nil for none.
func NewAudit(log *slog.Logger, requestID func(context.Context) string) *Audit {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if requestID == nil {
		requestID = func(context.Context) string { return "" }
	}
	return &Audit{log: log, requestID: requestID}
}

// Registry writes the lines of what is changed through reg.
func (a *Audit) Registry(reg registry.Registry) registry.Registry {
	return &auditedRegistry{Lister: reg, Reader: reg, reg: reg, audit: a}
}

// Operations writes the lines of what is changed through ops.
func (a *Audit) Operations(ops promotion.Operations) promotion.Operations {
	return &auditedOperations{ops: ops, audit: a}
}

// Tokens writes the lines of tokens that are made and revoked.
func (a *Audit) Tokens(t promotion.Tokens) promotion.Tokens {
	return &auditedTokens{tokens: t, audit: a}
}

// record writes one line. Values that are empty are left out.
func (a *Audit) record(ctx context.Context, verb string, err error, pairs ...string) {
	attrs := []slog.Attr{
		slog.String("verb", verb), slog.String("identity", Owner(ctx)), slog.String("outcome", outcome(err)),
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			attrs = append(attrs, slog.String(pairs[i], clip(pairs[i+1])))
		}
	}
	if id := a.requestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("err", err))
	}
	a.log.LogAttrs(context.WithoutCancel(ctx), slog.LevelInfo, "audit", attrs...)
}

// outcome tells what was refused from what did not work.
func outcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, registry.CodeDenied), errors.Is(err, registry.CodeUnauthorized),
		promotion.KindOf(err) == promotion.KindDenied, promotion.KindOf(err) == promotion.KindUnauthenticated:
		return "denied"
	}
	return "failed"
}

// isDenied says whether a guard refused.
func isDenied(err error) bool { return outcome(err) == "denied" }

package main

import (
	"context"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"
)

// newTracing makes what sends traces to an OpenTelemetry collector; nil where
// none is configured. Nothing is sent before the first request.
func newTracing(ctx context.Context, c tracingConfig) (*trace.TracerProvider, error) {
	if c.endpoint == "" {
		return nil, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.endpoint))
	if err != nil {
		return nil, err
	}
	return trace.NewTracerProvider(
		trace.WithBatcher(exporter),
		trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(c.sample))),
		trace.WithResource(resource.NewSchemaless(attribute.String("service.name", "kiln"), attribute.String("service.version", version()))),
	), nil
}

// traced makes a span of each request, linked to the trace that a client says
// it is part of.
func traced(next http.Handler, p *trace.TracerProvider) http.Handler {
	if p == nil {
		return next
	}
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, span := requestOf(r.Context()), oteltrace.SpanFromContext(r.Context())
		q.trace = span.SpanContext().TraceID().String()
		span.SetAttributes(attribute.String("kiln.request_id", q.id), attribute.String("kiln.repo", q.repo))
		next.ServeHTTP(w, r)
	})
	return otelhttp.NewHandler(inner, "kiln",
		otelhttp.WithTracerProvider(p),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return requestOf(r.Context()).kind }),
	)
}

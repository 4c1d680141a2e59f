package main

import (
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// serveMetrics is what /metrics tells. Labels are of fixed sets: no client can
// make new series, so no image, tag or user is among them.
type serveMetrics struct {
	registry *prometheus.Registry

	seen       seenRequests
	requests   *prometheus.CounterVec   // kind, method, code
	durations  *prometheus.HistogramVec // kind
	received   *prometheus.CounterVec   // kind
	sent       *prometheus.CounterVec   // kind
	refusals   *prometheus.CounterVec   // reason
	panics     prometheus.Counter
	store      *prometheus.HistogramVec // operation, result
	promotions *prometheus.CounterVec   // action, channel, result

	runs        *prometheus.CounterVec   // task, result
	runTimes    *prometheus.HistogramVec // task
	lastSuccess *prometheus.GaugeVec     // task
	renewed     prometheus.Counter
	pruned      *prometheus.CounterVec // kind
	collected   *prometheus.CounterVec // kind
	won         prometheus.Counter
	condemned   prometheus.Gauge

	certificate prometheus.Gauge
	reloads     *prometheus.CounterVec // result
	policies    *prometheus.CounterVec // result
}

// requestBuckets reach from a tag lookup to a large blob, in seconds.
func requestBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
}

func newServeMetrics() *serveMetrics {
	r := prometheus.NewRegistry()
	m := &serveMetrics{registry: r}
	m.httpMetrics()
	m.taskMetrics()
	m.store = m.histogram("kiln_store_operation_duration_seconds", "Operations on the store, until its answer or the end of its stream.", "operation", "result")
	m.promotions = m.counters("kiln_promotions_total", "Channels that were moved, or were not.", "action", "channel", "result")
	m.certificate = m.gauge("kiln_tls_certificate_expiry_timestamp_seconds", "When the certificate in use ends; 0 without TLS.")
	m.reloads = m.counters("kiln_tls_reloads_total", "Certificates that were loaded anew.", "result")
	m.policies = m.counters("kiln_policy_reloads_total", "Policies that were loaded anew.", "result")
	for _, result := range []string{"ok", "error"} {
		m.reloads.WithLabelValues(result)
		m.policies.WithLabelValues(result)
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "kiln_build_info", Help: "1, for this kiln.",
		ConstLabels: prometheus.Labels{"version": version(), "go": runtime.Version()}})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *serveMetrics) httpMetrics() {
	m.requests = m.counters("kiln_http_requests_total", "Requests that were answered.", "kind", "method", "code")
	m.durations = m.histogram("kiln_http_request_duration_seconds", "Time from a request's header to the end of its answer.", "kind")
	m.received = m.counters("kiln_http_received_bytes_total", "Bytes of bodies received.", "kind")
	m.sent = m.counters("kiln_http_sent_bytes_total", "Bytes of bodies sent.", "kind")
	m.refusals = m.counters("kiln_http_refusals_total",
		"Requests refused: credentials that are wrong (credentials), none where some are needed (anonymous), no right (denied), limits (busy).", "reason")
	m.panics = prometheus.NewCounter(prometheus.CounterOpts{Name: "kiln_panics_total", Help: "Bugs met, each with a stack in the log."})
	m.registry.MustRegister(m.panics)
	for _, reason := range []string{"credentials", "anonymous", "denied", "busy"} {
		m.refusals.WithLabelValues(reason) // there from the start, so that a rate is one
	}
}

func (m *serveMetrics) taskMetrics() {
	m.runs = m.counters("kiln_task_runs_total", "Runs of background tasks.", "task", "result")
	m.runTimes = m.histogram("kiln_task_duration_seconds", "Time that a run of a background task took.", "task")
	m.lastSuccess = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "kiln_task_last_success_timestamp_seconds",
		Help: "When a background task last ended well in this process."}, []string{"task"})
	m.renewed = prometheus.NewCounter(prometheus.CounterOpts{Name: "kiln_statements_renewed_total", Help: "Channel statements that were issued anew in the background."})
	m.pruned = m.counters("kiln_pruned_total", "Expired things that were removed.", "kind")
	m.collected = m.counters("kiln_collection_removed_total", "What collections removed: blobs, links and manifests.", "kind")
	m.won = prometheus.NewCounter(prometheus.CounterOpts{Name: "kiln_collection_removed_bytes_total", Help: "Bytes that collections removed."})
	m.condemned = m.gauge("kiln_collection_condemned_bytes", "Bytes that go after the grace, as the last collection saw it.")
	m.registry.MustRegister(m.lastSuccess, m.renewed, m.won)
	m.pruned.WithLabelValues("upload")
	for _, kind := range []string{"version", "tag", "manifest", "entry", "blob link", "blob"} {
		m.collected.WithLabelValues(kind)
	}
}

func (m *serveMetrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *serveMetrics) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: requestBuckets()}, labels)
	m.registry.MustRegister(h)
	return h
}

func (m *serveMetrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

// watch adds a gauge whose value is asked for at each scrape.
func (m *serveMetrics) watch(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// request counts one.
func (m *serveMetrics) request(r *http.Request, q *request, status int, received, sent int64, took time.Duration) {
	series := m.seriesOf(requestLabels{q.kind, q.method, status / 100})
	series.count.Inc()
	series.duration.Observe(took.Seconds())
	if received > 0 {
		m.received.WithLabelValues(q.kind).Add(float64(received))
	}
	if sent > 0 {
		series.sent.Add(float64(sent))
	}
	switch {
	case status == http.StatusUnauthorized && r.Header.Get("Authorization") != "":
		m.refusals.WithLabelValues("credentials").Inc()
	case status == http.StatusUnauthorized:
		m.refusals.WithLabelValues("anonymous").Inc()
	case status == http.StatusForbidden:
		m.refusals.WithLabelValues("denied").Inc()
	case status == http.StatusServiceUnavailable && !q.isProbe(), status == http.StatusTooManyRequests:
		m.refusals.WithLabelValues("busy").Inc()
	}
}

// handler answers scrapes.
func (m *serveMetrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 30 * time.Second})
}

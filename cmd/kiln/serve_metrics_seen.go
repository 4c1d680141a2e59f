package main

import (
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// requestLabels tell requests apart, by fixed sets.
type requestLabels struct {
	kind, method string
	class        int // of the status: 2, 3, 4 or 5
}

// requestSeries are the series that a request counts in.
type requestSeries struct {
	count    prometheus.Counter
	duration prometheus.Observer
	sent     prometheus.Counter
}

// seenRequests remembers the series of requests: finding them by their labels
// costs more than counting.
type seenRequests struct {
	mu     sync.RWMutex
	series map[requestLabels]*requestSeries
}

func (m *serveMetrics) seriesOf(l requestLabels) *requestSeries {
	m.seen.mu.RLock()
	s := m.seen.series[l]
	m.seen.mu.RUnlock()
	if s != nil {
		return s
	}
	s = &requestSeries{
		count:    m.requests.WithLabelValues(l.kind, l.method, strconv.Itoa(l.class)+"xx"),
		duration: m.durations.WithLabelValues(l.kind),
		sent:     m.sent.WithLabelValues(l.kind),
	}
	m.seen.mu.Lock()
	defer m.seen.mu.Unlock()
	if m.seen.series == nil {
		m.seen.series = map[requestLabels]*requestSeries{}
	}
	m.seen.series[l] = s
	return s
}

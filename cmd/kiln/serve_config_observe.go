package main

import (
	"log/slog"
	"net/url"
	"strings"
)

// metricsConfig is the metrics block.
type metricsConfig struct {
	listen string // address of its own; "" for the registry's
	token  string // path of a file with the secret that a scrape must carry; "" for none
}

func readMetrics(b *configBlock) metricsConfig {
	if b == nil {
		return metricsConfig{}
	}
	c := metricsConfig{listen: b.address("listen", ""), token: b.file("token")}
	b.Done()
	return c
}

// readPprof reads the address of the profiler.
func readPprof(b *configBlock) string {
	if b == nil {
		return ""
	}
	b.Require("listen")
	listen := b.address("listen", "")
	if anywhere := b.boolean("anywhere", false); listen != "" && !anywhere && !isLoopback(listen) {
		b.Wrong("listen", "%s is not loopback, and profiles hold secrets: set anywhere = true if only you reach it", listen)
	}
	b.Done()
	return listen
}

// logConfig is the log block.
type logConfig struct {
	json  bool
	level slog.Level
}

func readLog(b *configBlock) logConfig {
	if b == nil {
		return logConfig{}
	}
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	c := logConfig{json: b.oneOf("format", "text", "json") == "json", level: levels[b.oneOf("level", "info", "debug", "warn", "error")]}
	b.Done()
	return c
}

// tracingConfig is the tracing block.
type tracingConfig struct {
	endpoint string // URL of an OTLP collector; "" traces nothing
	sample   float64
}

func readTracing(b *configBlock) tracingConfig {
	c := tracingConfig{sample: 1}
	if b == nil {
		return c
	}
	b.Require("endpoint")
	c.endpoint = b.text("endpoint", "")
	u, err := url.Parse(c.endpoint)
	if c.endpoint != "" && (err != nil || !strings.HasPrefix(u.Scheme, "http") || u.Host == "") {
		b.Wrong("endpoint", "%q: want the URL of an OpenTelemetry collector, like http://127.0.0.1:4318", c.endpoint)
	}
	c.sample = b.fraction("sample", c.sample)
	b.Done()
	return c
}

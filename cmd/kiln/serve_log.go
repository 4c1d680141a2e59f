package main

import (
	"io"
	"log/slog"
)

// newLog makes the server's log: lines for people, or JSON for machines.
func newLog(w io.Writer, c logConfig) *slog.Logger {
	opts := &slog.HandlerOptions{Level: c.level}
	if c.json {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

package promotion

import "log/slog"

// Secret is a text that is shown to one person once: it is itself in JSON, and
// nothing in logs and messages.
type Secret string

// hidden is what logs show.
const hidden = "(hidden)"

// LogValue keeps the secret out of logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// String keeps the secret out of messages; convert it to show it.
func (Secret) String() string { return hidden }

// GoString keeps the secret out of %#v.
func (Secret) GoString() string { return hidden }

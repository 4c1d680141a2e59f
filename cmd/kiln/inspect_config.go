package main

import (
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func configOf(c *v1.ConfigFile) *inspectConfig {
	return &inspectConfig{
		User: c.Config.User, Workdir: c.Config.WorkingDir, Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd,
		Env: c.Config.Env, Ports: slices.Sorted(maps.Keys(c.Config.ExposedPorts)),
		Volumes: slices.Sorted(maps.Keys(c.Config.Volumes)), Labels: c.Config.Labels,
		StopSignal: c.Config.StopSignal, Healthcheck: c.Config.Healthcheck,
	}
}

// begins says whether a digest, with or without its algorithm, begins with a
// prefix that says enough.
func begins(d, prefix string) bool {
	_, hex, _ := strings.Cut(d, ":")
	return len(prefix) >= 6 && (strings.HasPrefix(hex, prefix) || strings.HasPrefix(d, prefix) && len(prefix) >= len("sha256:")+6)
}

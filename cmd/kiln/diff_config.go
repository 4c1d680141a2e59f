package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"kiln/bake"
)

type layerDescriptor = ocispec.Descriptor

// settingsOf is all that an image's configuration and annotations say, each
// part under a name of its own.
func settingsOf(v *bake.View) map[string]string {
	c := v.Config
	set := map[string]string{"platform": configPlatform(v), "media-type": v.MediaType}
	put := func(name, value string) {
		if value != "" {
			set[name] = value
		}
	}
	list := func(name string, values []string) {
		if values != nil {
			text, _ := json.Marshal(values) // strings always encode
			set[name] = string(text)
		}
	}
	if !c.Created.IsZero() {
		put("created", c.Created.UTC().Format(time.RFC3339))
	}
	put("author", c.Author)
	put("user", c.Config.User)
	put("workdir", c.Config.WorkingDir)
	put("stop-signal", c.Config.StopSignal)
	list("entrypoint", c.Config.Entrypoint)
	list("cmd", c.Config.Cmd)
	list("shell", c.Config.Shell)
	list("onbuild", c.Config.OnBuild)
	if h := c.Config.Healthcheck; h != nil {
		text, _ := json.Marshal(h) // plain data always encodes
		set["healthcheck"] = string(text)
	}
	addNamed(set, v)
	return set
}

// addNamed adds the parts that have names of their own.
func addNamed(set map[string]string, v *bake.View) {
	c := v.Config
	for _, kv := range c.Config.Env {
		name, value, _ := strings.Cut(kv, "=")
		set["env "+name] = value
	}
	for p := range c.Config.ExposedPorts {
		set["port "+p] = ""
	}
	for p := range c.Config.Volumes {
		set["volume "+p] = ""
	}
	for k, value := range c.Config.Labels {
		set["label "+k] = value
	}
	for k, value := range v.Manifest.Annotations {
		set["annotation "+k] = value
	}
}

func compareSettings(before, after map[string]string) []diffSetting {
	names := maps.Clone(before)
	maps.Copy(names, after)
	out := []diffSetting{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		b, had := before[name]
		a, has := after[name]
		if had && has && a == b {
			continue
		}
		s := diffSetting{Name: name}
		if had {
			s.Before = &b
		}
		if has {
			s.After = &a
		}
		out = append(out, s)
	}
	return out
}

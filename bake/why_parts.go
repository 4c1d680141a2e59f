package bake

import (
	"slices"
	"strings"

	"kiln/bake/template"
)

// contentMade is what a content step's key is made of.
func (b *Builder) contentMade(items []item, list []landed) made {
	m := made{Files: map[string]string{}, Values: b.common()}
	where := make([]string, len(list))
	for i, l := range list {
		where[i] = l.Path
	}
	m.Places = printOf(where)
	var buf []byte
	for _, it := range items {
		name := it.Source
		if name == "" {
			name = it.Target
		}
		m.Files[name] = landed{
			Path: it.Target, Kind: it.Kind, Mode: it.Mode, UID: it.UID, GID: it.GID, Link: it.Link, Size: it.Size, SHA256: it.SHA256, Capability: it.Capability,
		}.print(&buf)
	}
	return m
}

// common are the parts of every step's key.
func (b *Builder) common() map[string]string {
	return map[string]string{"SOURCE_DATE_EPOCH": printOf(b.made().Unix())}
}

// runMade is what a run step's key is made of. Of secrets nothing is kept.
func (b *Builder) runMade(chain []string, run *template.Run, env []string, mounts any) made {
	m := made{Chain: nonNil(chain), Values: b.common()}
	m.Values["command"] = printOf(run.Command)
	m.Values["working folder"] = printOf(run.Workdir)
	m.Values["user"] = printOf(run.User)
	m.Values["network"] = printOf(run.Network)
	if mounts != nil {
		m.Values["content of its mounts"] = printOf(mounts)
	}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if slices.Contains(run.Secret, name) {
			value = ""
		}
		m.Values["variable "+name] = printOf(value)
	}
	return m
}

// packagesMade is what the key of the packages is made of.
func (b *Builder) packagesMade(chain []string, st *state) made {
	locked := st.result.Locked
	m := made{Chain: nonNil(chain), Values: b.common(), Packages: map[string]string{}}
	for _, p := range locked.Packages {
		m.Packages[p.Name] = p.Version
	}
	m.Values["suite"] = printOf(locked.Suite)
	m.Values["variant"] = printOf(locked.Variant)
	m.Values["architecture"] = printOf(locked.Arch)
	m.Values["image's timestamp"] = printOf(st.result.Timestamp.Unix())
	m.Values["sources list"] = printOf(sourcesList(st.recipe))
	return m
}

func nonNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

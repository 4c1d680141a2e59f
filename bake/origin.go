package bake

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Origin is the version that a rebased image is made again from.
type Origin struct {
	Of digest.Digest // the version
	// Dependencies of the version that hold for the rebased image, too: its
	// source, template and files.
	Dependencies []Dependency
	Variables    map[string]string // set from outside the template then
	Secrets      []string          // names of sensitive ones among them
	Revision     Revision          // of the template then
}

// Origin tells what of a version's making still holds on another parent, from
// its provenance, or where it has none from its version tag.
func (r *StoredRecord) Origin(tag string) *Origin {
	o := &Origin{Of: r.Version, Revision: tagRevision(tag)}
	p, err := parseProvenance(r.Provenance)
	if r.Provenance == nil || err != nil {
		return o
	}
	external := p.BuildDefinition.ExternalParameters
	o.Variables, o.Secrets = external.Variables, external.SecretVariables
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if commit := d.Digest["gitCommit"]; strings.HasPrefix(commit, o.Revision.Commit) && o.Revision.Commit != "" {
			o.Revision.Commit = commit
		}
		if stands(d.Name, d.URI) {
			o.Dependencies = append(o.Dependencies, Dependency{Name: d.Name, URI: d.URI, Digest: d.Digest})
		}
	}
	return o
}

// stands tells whether a dependency is not named anew by the rebase.
func stands(name, uri string) bool {
	anew := []string{"parent", "parent-index", recordName, indexName}
	return !slices.Contains(anew, name) && !strings.HasPrefix(uri, "pkg:deb/")
}

// tagRevision is what a version tag says of the template's commit.
func tagRevision(tag string) Revision {
	m := tagCommit().FindStringSubmatch(tag)
	if m == nil {
		return Revision{Dirty: true}
	}
	rev := Revision{Commit: m[1], Dirty: m[2] != ""}
	if rev.Commit == NoCommit {
		rev.Commit = ""
	}
	return rev
}

// tell adds to a provenance that it is one of a rebase, and of what.
func (o *Origin) tell(b *Build, img *Image) {
	if o == nil {
		return
	}
	parent := img.parts()[0].Parent
	b.External["rebase"] = map[string]any{"of": string(o.Of), "onto": string(parent.version())}
	b.Dependencies = append(b.Dependencies, o.Dependencies...)
}

package bake

import (
	"encoding/json"

	"github.com/opencontainers/go-digest"
)

// provenanceRead is what is read of a provenance that kiln wrote.
type provenanceRead struct {
	BuildDefinition struct {
		ExternalParameters struct {
			Image           string
			Variables       map[string]string
			SecretVariables []string
			Rebase          *struct{ Of, Onto string } // nil of a bake
		}
		InternalParameters struct {
			Dirty *bool
			Tag   string
		}
		ResolvedDependencies []struct {
			Name   string
			URI    string
			Digest map[string]string
		}
	}
}

func parseProvenance(predicate json.RawMessage) (provenanceRead, error) {
	var p provenanceRead
	err := json.Unmarshal(predicate, &p)
	return p, err
}

// image that it is of.
func (p provenanceRead) image() string { return p.BuildDefinition.ExternalParameters.Image }

// names tells whether a dependency is of this name and digest; "" is any.
func (p provenanceRead) names(name string, d digest.Digest) bool {
	for _, dep := range p.BuildDefinition.ResolvedDependencies {
		if dep.Name == name && (d == "" || dep.Digest[string(d.Algorithm())] == d.Encoded()) {
			return true
		}
	}
	return false
}

package promotion

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"kiln/policy"
	"kiln/sign"
)

// provenance is what is read of a SLSA v1 provenance.
type provenance struct {
	BuildDefinition struct {
		ExternalParameters struct {
			Image string `json:"image"`
			Tier  string `json:"tier"`
		} `json:"externalParameters"`
		InternalParameters struct {
			Dirty   *bool           `json:"dirty"`
			Network string          `json:"network"` // "none" where no step had one
			Steps   json.RawMessage `json:"steps"`   // []provenanceStep
		} `json:"internalParameters"`
		ResolvedDependencies []struct {
			Name   string            `json:"name"`
			URI    string            `json:"uri"`
			Digest map[string]string `json:"digest"`
		} `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
		Metadata struct {
			FinishedOn time.Time `json:"finishedOn"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// provenanceStep is one step of the recipe, as kiln's provenance tells it.
type provenanceStep struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Network string `json:"network"` // "" and "none" are none
}

// provenance takes the provenance that speaks of this image, or any; of several
// the newest.
func (g *gatherer) provenance(ctx context.Context) error {
	found, err := g.attestations(ctx, sign.ProvenancePredicate)
	if err != nil {
		return err
	}
	var best provenance
	var by sign.Attestation
	for _, a := range found {
		var p provenance
		if json.Unmarshal(a.Predicate, &p) != nil {
			continue
		}
		if by.Digest == "" || p.better(best, g.facts.Image) {
			best, by = p, a
		}
	}
	if by.Digest == "" {
		return nil
	}
	g.rests(by.Digest)
	g.facts.BakedBy = append(g.facts.BakedBy, by.KeyID)
	g.facts.Tier = best.BuildDefinition.ExternalParameters.Tier
	g.facts.Provenance = best.fact(by)
	return nil
}

// better says whether p tells more of an image than o.
func (p provenance) better(o provenance, image string) bool {
	mine, its := p.BuildDefinition.ExternalParameters.Image == image, o.BuildDefinition.ExternalParameters.Image == image
	if mine != its {
		return mine
	}
	return p.RunDetails.Metadata.FinishedOn.After(o.RunDetails.Metadata.FinishedOn)
}

// fact is what a policy is told of a provenance.
func (p provenance) fact(by sign.Attestation) policy.Provenance {
	in := p.BuildDefinition.InternalParameters
	f := policy.Provenance{
		Present: true, Trusted: true, Subject: string(by.Subject.Digest), KeyID: by.KeyID,
		Image: p.BuildDefinition.ExternalParameters.Image, Builder: p.RunDetails.Builder.ID,
		Commit: p.commit(), Dirty: in.Dirty, Hermetic: in.Network == "none",
	}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		f.Dependencies = append(f.Dependencies, policy.Dependency{Name: d.Name, URI: d.URI, Digest: anyDigest(d.Digest)})
		switch d.Name {
		case "recipe":
			f.Recipe = anyDigest(d.Digest)
		case "source", "source-modified":
			f.Repository, _, _ = strings.Cut(strings.TrimPrefix(d.URI, "git+"), "@")
		}
	}
	var steps []provenanceStep
	if json.Unmarshal(in.Steps, &steps) == nil {
		for _, s := range steps {
			f.Steps = append(f.Steps, policy.Step{Name: s.Name, Kind: s.Kind, Network: s.Network != "" && s.Network != "none"})
		}
	}
	return f
}

// commit is the git commit of the template; "" if the provenance has none.
func (p provenance) commit() string {
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		for _, alg := range []string{"gitCommit", "sha1"} {
			if c := d.Digest[alg]; c != "" {
				return c
			}
		}
	}
	return ""
}

// anyDigest is one of several digests of the same, sha256 if there is one.
func anyDigest(digests map[string]string) string {
	for _, alg := range append([]string{"sha256", "sha512", "gitCommit"}, slices.Sorted(maps.Keys(digests))...) {
		if hex := digests[alg]; hex != "" {
			return alg + ":" + hex
		}
	}
	return ""
}

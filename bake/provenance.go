package bake

import (
	"encoding/json"
	"fmt"
	"time"

	provenance "github.com/in-toto/attestation/go/predicates/provenance/v1"
	results "github.com/in-toto/attestation/go/predicates/test_result/v0"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Predicate types of the evidence that a bake attaches.
const (
	ProvenancePredicate = "https://slsa.dev/provenance/v1"
	TestResultPredicate = "https://in-toto.io/attestation/test-result/v0.1"
)

// BuildType names the meaning of the parameters in kiln's provenance.
const BuildType = "urn:kiln:bake:v1"

// Dependency is one resolved input of a build.
type Dependency struct {
	Name   string            // "parent", "source", "template", … or ""
	URI    string            // package URL, git URL or image
	Digest map[string]string // algorithm to hex
}

// Build is what a provenance says (SLSA v1.0, "Build: Provenance").
type Build struct {
	External     map[string]any // image, tier, version, target: what the user chose
	Internal     map[string]any // what kiln chose
	Dependencies []Dependency
	Byproducts   []Dependency // what the build left besides the image
	Builder      string       // id of the builder
	Kiln         string       // version of kiln
	Invocation   string
	Start, End   time.Time
}

// Provenance writes b as a SLSA v1 provenance predicate.
func Provenance(b Build) (json.RawMessage, error) {
	external, err := structpb.NewStruct(b.External)
	if err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	internal, err := structpb.NewStruct(b.Internal)
	if err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	p := &provenance.Provenance{
		BuildDefinition: &provenance.BuildDefinition{
			BuildType: BuildType, ExternalParameters: external, InternalParameters: internal,
		},
		RunDetails: &provenance.RunDetails{
			Builder: &provenance.Builder{Id: b.Builder, Version: map[string]string{"kiln": b.Kiln}},
			Metadata: &provenance.BuildMetadata{
				InvocationId: b.Invocation,
				StartedOn:    timestamppb.New(b.Start.Truncate(time.Second)),
				FinishedOn:   timestamppb.New(b.End.Truncate(time.Second)),
			},
		},
	}
	for _, d := range b.Dependencies {
		p.BuildDefinition.ResolvedDependencies = append(p.BuildDefinition.ResolvedDependencies,
			&intoto.ResourceDescriptor{Name: d.Name, Uri: d.URI, Digest: d.Digest})
	}
	for _, d := range b.Byproducts {
		p.RunDetails.Byproducts = append(p.RunDetails.Byproducts, &intoto.ResourceDescriptor{Name: d.Name, Uri: d.URI, Digest: d.Digest})
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("provenance: %w", err)
	}
	return protojson.Marshal(p)
}

// TestResults writes passed tests as an in-toto test-result predicate.
// definition is the digest of their definitions, in hex.
func TestResults(passed []string, definition string) (json.RawMessage, error) {
	return protojson.Marshal(&results.TestResult{
		Result:        "PASSED",
		PassedTests:   passed,
		Configuration: []*intoto.ResourceDescriptor{{Name: "tests", Digest: map[string]string{"sha256": definition}}},
	})
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"kiln/policy/reports"
	"kiln/sign"
)

// openVEXPredicate is the predicate type of OpenVEX documents.
const openVEXPredicate = "https://openvex.dev/ns"

// shortTypes are cosign's names of predicate types, and some of ours.
var shortTypes = map[string]string{
	"spdx":            sign.SPDXPredicate,
	"spdxjson":        sign.SPDXPredicate,
	"cyclonedx":       sign.CycloneDXPredicate,
	"slsaprovenance1": sign.ProvenancePredicate,
	"test-result":     sign.TestPredicate,
	"vuln":            sign.VulnPredicate,
	"openvex":         openVEXPredicate,
}

func shortTypeNames() string { return strings.Join(slices.Sorted(maps.Keys(shortTypes)), ", ") }

// maxPredicateType bounds the name of a type, in bytes.
const maxPredicateType = 1 << 10

// predicateType is what --type names. Types of which only kiln makes
// statements are refused, and what is no URI.
func predicateType(name string) (string, error) {
	kind := name
	if long, ok := shortTypes[name]; ok {
		kind = long
	}
	u, err := url.Parse(kind)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" || len(kind) > maxPredicateType || strings.ContainsAny(kind, " \t\r\n") {
		return "", usagef("--type %s: want a URI or one of %s", name, shortTypeNames())
	}
	own := []string{sign.SignaturePredicate, sign.SummaryPredicate}
	if strings.HasPrefix(strings.ToLower(kind), "urn:kiln:") || slices.ContainsFunc(own, func(o string) bool { return strings.EqualFold(o, kind) }) {
		return "", usagef("--type %s: only kiln itself makes statements of this type", name)
	}
	for _, known := range shortTypes {
		if kind != known && strings.EqualFold(strings.TrimRight(kind, "/"), known) {
			return "", usagef("--type %s: it is spelled %s", name, known)
		}
	}
	return kind, nil
}

// checkPredicate refuses content that is not what the type says, and returns
// the predicate to attest. at is the time of a scan that does not tell its own.
func checkPredicate(kind string, content []byte, at time.Time) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(content, &members); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if members == nil {
		return nil, errors.New("not a JSON object")
	}
	if members["_type"] != nil && members["predicateType"] != nil {
		return nil, errors.New("it is a whole in-toto statement; the predicate alone is wanted")
	}
	if members["payloadType"] != nil && members["payload"] != nil {
		return nil, errors.New("it is a signed envelope; the predicate alone is wanted")
	}
	var err error
	switch kind {
	case sign.SPDXPredicate:
		err = checkSBOM(content, reports.SPDX)
	case sign.CycloneDXPredicate:
		err = checkSBOM(content, reports.CycloneDX)
	case sign.ProvenancePredicate:
		err = checkProvenance(content)
	case sign.TestPredicate:
		err = checkTestResult(content)
	case sign.VulnPredicate:
		return reports.VulnPredicate(content, at)
	case openVEXPredicate:
		if members["@context"] == nil || members["statements"] == nil {
			err = errors.New("no OpenVEX document: it has no @context and statements")
		}
	}
	return content, err
}

func checkSBOM(content []byte, want reports.Format) error {
	sbom, err := reports.ParseSBOM(content)
	if err != nil {
		return err
	}
	if sbom.Format != want {
		return fmt.Errorf("the SBOM is in %s, not %s (give --type %s)", sbom.Format, want, sbom.Format)
	}
	return nil
}

// checkProvenance requires what SLSA v1 does.
func checkProvenance(content []byte) error {
	var p struct {
		BuildDefinition struct {
			BuildType          string                     `json:"buildType"`
			ExternalParameters map[string]json.RawMessage `json:"externalParameters"`
		} `json:"buildDefinition"`
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return fmt.Errorf("provenance: %w", err)
	}
	if p.BuildDefinition.BuildType == "" || p.BuildDefinition.ExternalParameters == nil || p.RunDetails.Builder.ID == "" {
		return errors.New("no SLSA v1 provenance: buildDefinition.buildType, .externalParameters and runDetails.builder.id are required")
	}
	return nil
}

// checkTestResult requires what in-toto's test-result v0.1 does.
func checkTestResult(content []byte) error {
	var r struct {
		Result string   `json:"result"`
		Passed []string `json:"passedTests"`
		Warned []string `json:"warnedTests"`
		Failed []string `json:"failedTests"`
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return fmt.Errorf("test result: %w", err)
	}
	if !slices.Contains([]string{"PASSED", "WARNED", "FAILED"}, r.Result) {
		return fmt.Errorf("test result: result is %q, not PASSED, WARNED or FAILED", r.Result)
	}
	if r.Result == "PASSED" && len(r.Failed) > 0 {
		return errors.New("test result: PASSED, with failed tests")
	}
	return nil
}

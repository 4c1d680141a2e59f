package bake

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	results "github.com/in-toto/attestation/go/predicates/test_result/v0"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	"kiln/sign"
)

// scanName names the attestation of a scan and its configuration: it tells it
// from the results of tests, whose predicate type it shares.
const scanName = "secret-scan"

// maxAttested bounds each list of an attested scan.
const maxAttested = 1000

// predicate writes the report as an in-toto test-result predicate with the one
// test "secrets". What was found exposed, allowed and not looked into is in the
// annotations of its configuration.
func (r *ScanReport) predicate() (json.RawMessage, error) {
	raw, err := json.Marshal(r.attested())
	if err != nil {
		return nil, err
	}
	notes := &structpb.Struct{}
	if err := protojson.Unmarshal(raw, notes); err != nil {
		return nil, fmt.Errorf("scan: %w", err)
	}
	p := &results.TestResult{
		Result: "PASSED", PassedTests: []string{"secrets"},
		Configuration: []*intoto.ResourceDescriptor{{Name: scanName, Digest: map[string]string{"sha256": r.Rules}, Annotations: notes}},
	}
	if len(r.Secrets) > 0 {
		p.Result, p.PassedTests, p.FailedTests = "FAILED", nil, []string{"secrets"}
	}
	return protojson.Marshal(p)
}

// attestedScan is what an attestation says besides the result. Nothing in it
// shows any part of a secret.
type attestedScan struct {
	Allow   string           `json:"allow"` // digest of the template's list, hex
	Found   []attestedSecret `json:"found,omitempty"`
	Allowed []attestedSecret `json:"allowed,omitempty"`
	Known   map[string]int   `json:"known,omitempty"`
	Layers  int              `json:"layers"`
	Files   int              `json:"files"`
	Unread  unread           `json:"unread,omitempty"`
	Exposed Exposure         `json:"exposed"`
}

type attestedSecret struct {
	Where  string `json:"where"`
	Path   string `json:"path,omitempty"`
	Rule   string `json:"rule"`
	Reason string `json:"reason,omitempty"`
}

func (r *ScanReport) attested() attestedScan {
	list := func(found []FoundSecret) []attestedSecret {
		var out []attestedSecret
		for _, f := range found[:min(len(found), maxAttested)] {
			out = append(out, attestedSecret{f.Where, f.Path, f.Rule, f.Reason})
		}
		return out
	}
	e := r.Exposed
	for _, l := range []*[]string{&e.Setuid, &e.Setgid, &e.Writable, &e.Capabilities, &e.Ports} {
		*l = (*l)[:min(len(*l), maxAttested)]
	}
	return attestedScan{
		Allow: r.Allow, Found: list(r.Secrets), Allowed: list(r.Allowed), Known: r.Known,
		Layers: r.Layers, Files: r.Files, Unread: r.Unread, Exposed: e,
	}
}

// attestedBy tells whether one of some results is that of this scan: by the
// same rules and allow list, with the same outcome.
func (r *ScanReport) attestedBy(found []sign.Attestation) bool {
	return slices.ContainsFunc(found, func(a sign.Attestation) bool {
		var got struct {
			Result        string
			Configuration []struct {
				Name        string
				Digest      map[string]string
				Annotations attestedScan
			}
		}
		if json.Unmarshal(a.Predicate, &got) != nil || len(got.Configuration) == 0 {
			return false
		}
		c := got.Configuration[0]
		return c.Name == scanName && c.Digest["sha256"] == r.Rules && c.Annotations.Allow == r.Allow &&
			(got.Result == "PASSED") == (len(r.Secrets) == 0)
	})
}

// scanOfPlatforms is the report of an index: all that its images' say. It is
// nil unless each was looked into.
func scanOfPlatforms(images []*Image) *ScanReport {
	if slices.ContainsFunc(images, func(img *Image) bool { return img.Scan == nil }) {
		return nil
	}
	all := &ScanReport{Rules: images[0].Scan.Rules, Known: map[string]int{}, Unread: unread{}}
	var allow []any
	for _, img := range images {
		r, on := img.Scan, img.Recipe.Platform()+": "
		allow = append(allow, r.Allow)
		all.Secrets = append(all.Secrets, of(on, r.Secrets)...)
		all.Allowed = append(all.Allowed, of(on, r.Allowed)...)
		for reason, n := range r.Known {
			all.Known[reason] += n
		}
		all.Layers += r.Layers
		all.Files += r.Files
		all.Unread.merge(r.Unread)
		all.Exposed.merge(r.Exposed)
		all.Packages = append(all.Packages, r.Packages...)
	}
	all.Allow = key("scan allow of platforms", allow...)
	return all
}

func of(platform string, found []FoundSecret) []FoundSecret {
	list := slices.Clone(found)
	for i := range list {
		list[i].Where = platform + list[i].Where
	}
	return list
}

func (u unread) merge(more unread) {
	for _, reason := range slices.Sorted(maps.Keys(more)) {
		c, sum := more[reason], u[reason]
		if sum.First == "" {
			sum.First = c.First
		}
		u[reason] = count{sum.Files + c.Files, sum.Bytes + c.Bytes, sum.First}
	}
}

// merge adds what another image of the same version exposes.
func (e *Exposure) merge(more Exposure) {
	lists := [][2]*[]string{
		{&e.Setuid, &more.Setuid}, {&e.Setgid, &more.Setgid}, {&e.Writable, &more.Writable},
		{&e.Capabilities, &more.Capabilities}, {&e.Ports, &more.Ports},
	}
	for _, l := range lists {
		all := slices.Concat(*l[0], *l[1])
		slices.Sort(all)
		*l[0] = slices.Compact(all)
	}
	e.Root = e.Root || more.Root
}

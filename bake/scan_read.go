package bake

import "encoding/json"

// AttestedScan is what an attestation says of a scan for secrets.
type AttestedScan struct {
	Passed  bool     `json:"passed"`
	Layers  int      `json:"layers"`
	Files   int      `json:"files"`   // read as text
	Found   int      `json:"found"`   // secrets
	Allowed int      `json:"allowed"` // secrets that the template allows
	Unread  int      `json:"unread"`  // files that were not looked into
	Exposed Exposure `json:"exposed"`
}

// ReadScan reads a test-result predicate; false if it is not that of a scan.
func ReadScan(predicate json.RawMessage) (AttestedScan, bool) {
	var got struct {
		Result        string
		Configuration []struct {
			Name        string
			Annotations attestedScan
		}
	}
	if json.Unmarshal(predicate, &got) != nil || len(got.Configuration) == 0 || got.Configuration[0].Name != scanName {
		return AttestedScan{}, false
	}
	a := got.Configuration[0].Annotations
	s := AttestedScan{
		Passed: got.Result == "PASSED", Layers: a.Layers, Files: a.Files,
		Found: len(a.Found), Allowed: len(a.Allowed), Exposed: a.Exposed,
	}
	for _, c := range a.Unread {
		s.Unread += c.Files
	}
	return s, true
}

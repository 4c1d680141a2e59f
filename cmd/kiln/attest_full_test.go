//go:build full

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// FAULTS 35: eight processes attach to one image in a bucket at once, each
// its own, half of them of one type. All are there afterwards, and verify.
func TestBucketAttestedAtOnce(t *testing.T) {
	s, _ := inS3(t)
	var report bakeReport
	if err := json.Unmarshal(s.run("bake", "app", "--key", "bake.key", "--json"), &report); err != nil {
		t.Fatal(err)
	}
	ref := "acme/app@" + string(report.Images[0].Digest)
	var wg sync.WaitGroup
	for i := range 8 {
		file := fmt.Sprintf("own%d.json", i)
		if err := os.WriteFile(s.path(file), fmt.Appendf(nil, `{"n":%d}`, i), 0o644); err != nil {
			t.Fatal(err)
		}
		kind := fmt.Sprintf("https://example.com/n%d", max(i, 4))
		cmd := s.command(nil, "attest", ref, "--type", kind, "--predicate", file, "--key", "bake.key")
		wg.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("attest %s: %v: %s", kind, err, out)
			}
		})
	}
	wg.Wait()
	var seen struct {
		Evidence inspectEvidence `json:"evidence"`
	}
	if err := json.Unmarshal(s.run("inspect", ref, "--key", "bake.pub", "--json"), &seen); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, a := range seen.Evidence.Attestations {
		if strings.HasPrefix(a.PredicateType, "https://example.com/n") && a.Verified {
			found++
		}
	}
	if found != 8 {
		t.Errorf("%d of 8 are there: %+v", found, seen.Evidence.Attestations)
	}
}

package promotion

import (
	"encoding/json"
	"strings"
	"testing"

	"kiln/policy"
)

func FuzzState(f *testing.F) {
	d := "sha256:" + registryHex
	f.Add([]byte(`{"schema":"kiln.state/v1","sequence":1,"head":"` + d + `","channels":{"dev":{"digest":"` + d + `","record":"` + d + `","sequence":1,"issue":{"sequence":1},"statement":{}}}}`))
	f.Add([]byte(`{"schema":"kiln.state/v2"}`))
	f.Add([]byte(`{"schema":"kiln.state/v1","sequence":-1}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := decodeState(value)
		if err != nil {
			return
		}
		text, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeState(text)
		if err != nil || again.Head != s.Head || len(again.Channels) != len(s.Channels) {
			t.Fatalf("%s does not survive: %v", value, err)
		}
		for name, c := range s.Channels {
			if strings.Contains(name, "/") || strings.Contains(string(c.Digest), "/") || c.Sequence > s.Sequence {
				t.Fatalf("%s is accepted", value)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	d := "sha256:" + registryHex
	f.Add([]byte(`{"store_id":"s","image":"a","channel":"dev","action":"promote","digest":"` + d + `","sequence":1}`))
	f.Add([]byte(`{"store_id":"s","image":"a","action":"revoke","digest":"` + d + `","sequence":2,"prev_record":"` + d + `"}`))
	f.Fuzz(func(t *testing.T, predicate []byte) {
		r, err := decodeRecord(predicate)
		if err != nil {
			return
		}
		text, err := json.Marshal(r)
		if err != nil {
			return // a year that JSON cannot hold
		}
		if again, err := decodeRecord(text); err != nil || again.Sequence != r.Sequence || r.Sequence < 1 {
			t.Fatalf("%s does not survive: %v", predicate, err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	f.Add([]byte(`{"payload":"e30="}`))
	f.Fuzz(func(t *testing.T, envelope []byte) {
		if r, err := decodeEnvelope(envelope); err == nil && r.check() != nil {
			t.Fatalf("%s is accepted", envelope)
		}
	})
}

// The wire names of a record are a contract with whoever verifies ledgers.
func TestRecordFields(t *testing.T) {
	text, err := json.Marshal(Record{})
	if err != nil {
		t.Fatal(err)
	}
	const fields = `{"store_id":"","image":"","channel":"","action":"","digest":"","previous":"","sequence":0,"prev_record":"","prev_in_channel":"","at":"0001-01-01T00:00:00Z","by":"","reason":"","policy":"","facts":""}`
	if string(text) != fields {
		t.Errorf("record %s", text)
	}
	e := Error{Message: "no", Reasons: []policy.Reason{{Rule: "order", Message: "too early", Fix: "wait"}}}
	if e.Error() != "no\n  order: too early: wait" {
		t.Errorf("error %q", e.Error())
	}
}

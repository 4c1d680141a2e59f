package promotion

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"kiln/policy"
	"kiln/registry/store"
	"kiln/sign"

	"github.com/opencontainers/go-digest"
)

func FuzzState(f *testing.F) {
	d := "sha256:" + registryHex
	f.Add([]byte(`{"schema":"kiln.state/v1","sequence":1,"head":"` + d + `","channels":{"dev":{"digest":"` + d + `","record":"` + d + `","sequence":1,"issue":{"sequence":1},"statement":{}}}}`))
	f.Add([]byte(`{"schema":"kiln.state/v2"}`))
	f.Add([]byte(`{"schema":"kiln.state/v1","sequence":-1}`))
	f.Add([]byte(`{"schema":"kiln.state/v1","sequence":0,"removals":1,"retiring":{"` + d + `":{"id":"x","tags":["20260301T120000Z-0123456789ab"],"manifest":true}}}`))
	f.Add([]byte(`{"schema":"kiln.state/v1","retiring":{"sha256:../x":{"tags":["latest"]}}}`))
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
		if s.Sequence == 0 && (s.Head != "" || len(s.Channels) > 0) || len(again.Retiring) != len(s.Retiring) {
			t.Fatalf("%s is accepted", value)
		}
		for d, r := range s.Retiring {
			for _, name := range append([]string{string(d)}, r.Tags...) {
				if strings.Contains(name, "/") {
					t.Fatalf("%s is accepted", value)
				}
			}
		}
	})
}

// FuzzLease: what is read as a lease is of the pointer that it was read from,
// and names nothing but images.
func FuzzLease(f *testing.F) {
	d := digest.Digest("sha256:" + registryHex)
	name := store.LeasePointer(d, "prod-1")
	f.Add(name, []byte(`{"schema":"kiln.lease/v1","digest":"`+string(d)+`","holder":"prod-1","images":{"acme/shop":{"by":"x","expires":"2026-03-01T12:00:00Z"}}}`))
	f.Add(name, []byte(`{"schema":"kiln.lease/v1","digest":"`+string(d)+`","holder":"../x","images":{"../x":{}}}`))
	f.Add(name, []byte(`{"schema":"kiln.lease/v2"}`))
	f.Add("leases/x", []byte(`{}`))
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		v, err := decodeLease(store.Pointer{Name: name, Value: value, Revision: "1"})
		if err != nil {
			return
		}
		if store.CheckKey(name) != nil || store.LeasePointer(v.Digest, v.Holder) != name || checkLeaseCursor(Lease{Digest: v.Digest, Holder: v.Holder}.Cursor()) != nil {
			t.Fatalf("%q: %s is accepted", name, value)
		}
		for image := range v.current(time.Unix(0, 0)).Images {
			if strings.Contains(image, "..") {
				t.Fatalf("%s is accepted", value)
			}
		}
	})
}

// FuzzTrust: a trust that is read lists only keys that are what their ids say,
// and what is not listed may nothing.
func FuzzTrust(f *testing.F) {
	keys, err := testKeys()
	if err != nil {
		f.Fatal(err)
	}
	e, err := newTrustEntry(TrustRequest{Role: RoleBake, Key: string(keys[0].PublicPEM()), Image: "acme/*"}, time.Unix(0, 0))
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(Trust{Schema: TrustSchema, Entries: []TrustEntry{e}, Closed: []Role{RoleBake}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schema":"kiln.trust/v1","entries":[{"role":"bake","key":"x","key_id":"x","image":"["}]}`))
	f.Add([]byte(`{"schema":"kiln.trust/v9"}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		trust, err := decodeTrust(value)
		if err != nil {
			return
		}
		for _, e := range trust.Entries {
			if id, err := sign.KeyID([]byte(e.Key)); err != nil || id != e.KeyID {
				t.Fatalf("%s is accepted", value)
			}
		}
		stranger := keys[2]
		if trust.Lists(RoleBake, stranger.KeyID(), shop) && !strings.Contains(string(value), stranger.KeyID()) {
			t.Fatalf("%s lists a stranger", value)
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
	if e.Error() != "no\n  order: too early\n    fix: wait" {
		t.Errorf("error %q", e.Error())
	}
}

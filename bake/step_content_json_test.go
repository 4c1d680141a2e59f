package bake

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// What is written by hand is what encoding/json writes: keys of earlier kilns
// are found.
func TestLandedJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,20}`))
		l := landed{
			Path: text.Draw(t, "path"), Kind: rapid.Byte().Draw(t, "kind"), Mode: rapid.Uint32().Draw(t, "mode"),
			UID: rapid.Int().Draw(t, "uid"), GID: rapid.Int().Draw(t, "gid"), Link: text.Draw(t, "link"),
			Size: rapid.Int64().Draw(t, "size"), SHA256: text.Draw(t, "sha256"), Capability: text.Draw(t, "capability"),
			Seconds: rapid.Int64().Draw(t, "seconds"),
		}
		want, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.appendJSON(nil); string(got) != string(want) {
			t.Errorf("%s, want %s", got, want)
		}
		var buf []byte
		if l.print(&buf) != printOf(l) {
			t.Errorf("another print of %s", want)
		}
		for _, list := range [][]landed{nil, {}, {l}, {l, l}} {
			if contentKey("e", list) != key("content", "e", list) {
				t.Errorf("another key of %d entries", len(list))
			}
		}
	})
}

package bake

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"kiln/layers"
)

// A detail is written as encoding/json writes it.
func TestDetailJSON(t *testing.T) {
	var index layers.Index
	if err := json.Unmarshal([]byte(`{"a b":{"t":48,"s":3,"d":"sha256:00"},"é<":{"t":53,"o":true}}`), &index); err != nil {
		t.Fatal(err)
	}
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[ -~]{0,20}`))
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) detailItem {
			return detailItem{
				Target: text.Draw(t, "target"), Kind: rapid.Byte().Draw(t, "kind"), Mode: rapid.Uint32Range(0, 3).Draw(t, "mode"),
				UID: rapid.IntRange(-1, 2).Draw(t, "uid"), GID: rapid.IntRange(-1, 2).Draw(t, "gid"), Link: text.Draw(t, "link"),
				Size: rapid.Int64Range(0, 3).Draw(t, "size"), SHA256: text.Draw(t, "sha256"),
				Seconds: rapid.Ptr(rapid.Int64(), true).Draw(t, "seconds"), Declared: rapid.Bool().Draw(t, "declared"),
				Capability: text.Draw(t, "capability"),
			}
		}), 0, 3).Draw(t, "items")
		d := detail{Schema: text.Draw(t, "schema"), Items: items}
		if rapid.Bool().Draw(t, "indexed") {
			d.Index, d.Scan = &index, &detailScan{Rules: text.Draw(t, "rules"), Form: 1}
		}
		want, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := d.appendJSON(nil); err != nil || string(got) != string(want) {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	})
}

package layers

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// An index is written as encoding/json writes its map.
func TestIndexMarshal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[ -~]{0,20}`))
		ix := &Index{nodes: rapid.MapOf(text, rapid.Custom(func(t *rapid.T) Node {
			return Node{
				Type: rapid.Byte().Draw(t, "type"), Mode: rapid.Uint32().Draw(t, "mode"), UID: rapid.IntRange(-1, 3).Draw(t, "uid"),
				GID: rapid.Int().Draw(t, "gid"), Size: rapid.Int64().Draw(t, "size"), Link: text.Draw(t, "link"),
				Digest: text.Draw(t, "digest"), Capability: text.Draw(t, "capability"),
				Opaque: rapid.Bool().Draw(t, "opaque"), Implicit: rapid.Bool().Draw(t, "implicit"),
			}
		})).Draw(t, "nodes")}
		want, err := json.Marshal(ix.nodes)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(ix); err != nil || string(got) != string(want) {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	})
}

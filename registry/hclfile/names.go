package hclfile

import (
	"fmt"
	"slices"

	"github.com/agext/levenshtein"
)

// Done notes attributes and blocks that nothing asked for.
func (b *Block) Done() {
	for name, a := range b.body.Attributes {
		if slices.Contains(b.attributes, name) {
			continue
		}
		hint := DidYouMean(name, b.attributes)
		if slices.Contains(b.blockTypes, name) {
			hint = fmt.Sprintf(" (%s is a block: write %s { without =)", name, name)
		}
		b.Add(a.NameRange.Start.Line, b.Where, "unknown attribute %q%s", name, hint)
	}
	for _, in := range b.body.Blocks {
		if slices.Contains(b.blockTypes, in.Type) {
			continue
		}
		hint := DidYouMean(in.Type, b.blockTypes)
		if slices.Contains(b.attributes, in.Type) {
			hint = fmt.Sprintf(" (%s is an attribute: write %s = …)", in.Type, in.Type)
		}
		b.Add(in.TypeRange.Start.Line, b.Where, "unknown block %q%s", in.Type, hint)
	}
}

// DidYouMean is a hint, to stand behind what it is about, with the known name
// nearest to one that is not known; "" where none is near.
func DidYouMean(name string, known []string) string {
	best, distance := "", 1+max(2, len(name)/3)
	for _, k := range known {
		if d := levenshtein.Distance(name, k, nil); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

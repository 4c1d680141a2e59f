package bake

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

// What packages hold is not searched again in the layer, but for what had
// secrets; a package that cannot be read changes nothing.
func TestScanAhead(t *testing.T) {
	scanner := newCountingScanner("ab")
	b := builder(t, BuilderOptions{Scanner: scanner})
	one := archiveOf(t, memberFile{"./usr/text", "words", false}, memberFile{"./usr/found", "SECRET", false})
	two := archiveOf(t, memberFile{"./usr/man.gz", packedGzip(t, []byte("packed words")), false})
	b.scanAhead(t.Context(), []io.Reader{bytes.NewReader(one), bytes.NewReader([]byte("damaged")), bytes.NewReader(two)})
	if asked, want := scanner.names(), []string{"/usr/found", "/usr/man.gz", "/usr/text"}; !slices.Equal(asked, want) {
		t.Errorf("ahead asked about %q, want %q", asked, want)
	}
	layer := archiveOf(t, memberFile{"usr/found", "SECRET", false}, memberFile{"usr/made", "by a script", false},
		memberFile{"usr/man.gz", packedGzip(t, []byte("packed words")), false}, memberFile{"usr/text", "words", false})
	found, err := scanTar(t.Context(), b.plainTexts(), bytes.NewReader(layer), testExpanded)
	if err != nil || len(found.Found) != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
	if asked, want := scanner.names(), []string{"/usr/found", "/usr/made"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
}

package layers

import (
	"archive/tar"
	"path"
	"slices"
	"strings"
)

// ComparePaths orders paths as layers hold them: name by name within a folder,
// a folder before what it holds, whiteouts before their siblings.
func ComparePaths(a, b string) int {
	a, b = apart(a, b)
	for a != "" && b != "" {
		x, restA, _ := strings.Cut(a, "/")
		y, restB, _ := strings.Cut(b, "/")
		if x != y {
			wx, wy := strings.HasPrefix(x, WhiteoutPrefix), strings.HasPrefix(y, WhiteoutPrefix)
			if wx != wy {
				if wx {
					return -1
				}
				return 1
			}
			return strings.Compare(x, y)
		}
		a, b = restA, restB
	}
	return len(a) - len(b)
}

// apart cuts off the folders that two paths have in common.
func apart(a, b string) (string, string) {
	from := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '/' {
			from = i + 1
		}
	}
	return a[from:], b[from:]
}

// arrange checks the entries and returns a copy in the layer's order, with
// the first of each group of hard links holding the content.
func arrange(entries []Entry) ([]Entry, error) {
	out := slices.Clone(entries)
	for i := range out {
		if err := out[i].check(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b Entry) int { return ComparePaths(a.Path, b.Path) })
	at := make(map[string]int, len(out))
	for i, e := range out {
		if _, twice := at[e.Path]; twice {
			return nil, entryErrorf(e.Path, "listed twice")
		}
		at[e.Path] = i
	}
	if err := checkParents(out, at); err != nil {
		return nil, err
	}
	return out, arrangeLinks(out, at)
}

// checkParents refuses entries below something that is no folder.
func checkParents(entries []Entry, at map[string]int) error {
	for _, e := range entries {
		for dir := path.Dir(e.Path); dir != "."; dir = path.Dir(dir) {
			if i, ok := at[dir]; ok && entries[i].Type != tar.TypeDir {
				return entryErrorf(e.Path, "lies below %q, which is no folder", dir)
			}
		}
	}
	return nil
}

// arrangeLinks moves each hard-linked file's content to its first path and
// gives all its links the file's metadata.
func arrangeLinks(entries []Entry, at map[string]int) error {
	groups := map[int][]int{} // the file -> its links, in order
	for i, e := range entries {
		if e.Type != tar.TypeLink {
			continue
		}
		t, ok := at[e.Link]
		if !ok || entries[t].Type == tar.TypeLink || entries[t].Type == tar.TypeDir {
			return entryErrorf(e.Path, "hard link target %q is no file of this layer", e.Link)
		}
		groups[t] = append(groups[t], i)
	}
	for t, links := range groups {
		file, first := entries[t], min(t, links[0])
		for _, i := range append(links, t) {
			p := entries[i].Path
			entries[i] = file
			entries[i].Path = p
			if i != first {
				entries[i].Type, entries[i].Link = tar.TypeLink, entries[first].Path
				entries[i].Size, entries[i].Digest, entries[i].Open = 0, "", nil
			}
		}
	}
	return nil
}

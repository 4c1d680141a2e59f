package bake

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"kiln/bake/dockerfile"
	"kiln/layers"
)

// dockerSource is one source of a COPY or ADD: a file, or a folder with what it
// holds.
type dockerSource struct {
	Name   string // last component: its name in a folder that receives it
	Items  []item // Target relative to the source, "." first; modes and owners as they will be
	Spread bool   // an archive: its content goes to the destination itself
}

// workdir makes the folder of a WORKDIR where there is none.
func (d *docker) workdir(ctx context.Context, st *state, name string, s *dockerfile.Workdir) (StepResult, error) {
	if s.Path == "/" {
		return d.landedStep(ctx, st, name, nil)
	}
	uid, gid, err := d.owner(ctx, st, s.User)
	if err != nil {
		return StepResult{}, err
	}
	folder := dockerSource{Name: ".", Items: []item{{Target: ".", Kind: tar.TypeDir, Mode: 0o755}}}
	return d.landSources(ctx, st, name, s.Path+"/", []dockerSource{folder}, uid, gid)
}

// landSources puts sources at a destination as BuildKit does, on what lies
// below, and makes the layer. Folders that are made for it belong to uid:gid.
func (d *docker) landSources(ctx context.Context, st *state, name, dest string, sources []dockerSource, uid, gid int) (StepResult, error) {
	list, err := d.dockerPlaces(ctx, st, dest, sources)
	if err != nil {
		return StepResult{}, err
	}
	seconds := d.made().Unix()
	out := make([]landed, len(list))
	for i, p := range list {
		if p.Source < 0 {
			out[i] = landed{Path: p.Path, Kind: tar.TypeDir, Mode: 0o755, UID: uid, GID: gid, Seconds: seconds, made: p.Kept == nil}
			if p.Kept != nil {
				out[i].Mode, out[i].UID, out[i].GID = p.Kept.Mode, p.Kept.UID, p.Kept.GID
			}
			continue
		}
		it := sources[p.Source].Items[p.Item]
		out[i] = landed{
			Path: p.Path, Kind: it.Kind, Mode: it.Mode, UID: it.UID, GID: it.GID, Link: it.Link,
			Size: it.Size, SHA256: it.SHA256, Capability: it.Capability, Seconds: seconds, open: it.Open,
		}
		if it.ModTime != nil {
			out[i].Seconds = it.ModTime.Unix()
		}
	}
	return d.landedStep(ctx, st, name, out)
}

// landedStep makes a layer of entries that have their places.
func (d *docker) landedStep(ctx context.Context, st *state, name string, list []landed) (StepResult, error) {
	if err := removeNothing(list); err != nil {
		return StepResult{}, err
	}
	st.made = func() made { return d.contentMade(landedItems(list), list) }
	res, err := d.cached(ctx, st, ContentStep, name, contentKey(d.encoder(st), list), func(string) ([]layers.Entry, error) {
		return landedEntries(list)
	})
	res.items = landedItems(list)
	return res, err
}

// landedItems are entries as items, for the record: a rebase places them again.
func landedItems(list []landed) []item {
	items := make([]item, len(list))
	for i, l := range list {
		items[i] = item{
			Target: "/" + l.Path, Kind: l.Kind, Mode: l.Mode, UID: l.UID, GID: l.GID, Link: l.Link,
			Size: l.Size, SHA256: l.SHA256, Capability: l.Capability, Declared: !l.made, Open: l.open,
		}
	}
	return items
}

// dockerPlaced is an entry of a layer: an item of a source, or, where Source is
// -1, a folder that is made on the way.
type dockerPlaced struct {
	Path   string `json:"path"`
	Source int    `json:"source"`
	Item   int    `json:"item"`
	// Kept is a folder on the way that the image has, where it is not root's
	// with mode 0755: what a layer only implies, some runtimes make so.
	Kept *layers.Node `json:"kept,omitempty"`
}

// dockerPlaces finds where sources land. The answer is kept by what it depends
// on, so that a warm bake reads no path index.
func (d *docker) dockerPlaces(ctx context.Context, st *state, dest string, sources []dockerSource) ([]dockerPlaced, error) {
	chain, err := chainOf(st.below)
	if err != nil {
		return nil, err
	}
	k := key("docker places", chain, dest, sourcesKey(sources)) + ".json"
	var list []dockerPlaced
	if d.cache.load(&list, "places", k) {
		return list, nil
	}
	below, err := d.imageIndex(ctx, st.below)
	if err != nil {
		return nil, err
	}
	p := &dockerPlacer{below: below, at: map[string]int{}, kinds: map[string]byte{}}
	for i, s := range sources {
		if err := p.source(dest, i, s); err != nil {
			return nil, err
		}
	}
	p.keepFolders()
	if !d.sure() {
		return p.list, nil
	}
	return p.list, d.cache.save(p.list, "places", k)
}

// sourcesKey is what of sources decides their places.
func sourcesKey(sources []dockerSource) [][]string {
	var all [][]string
	for _, s := range sources {
		list := []string{s.Name, fmt.Sprint(s.Spread)}
		for _, it := range s.Items {
			line := string(it.Kind) + it.Target
			if it.isDir() {
				line += fmt.Sprintf(" %o %d:%d", it.Mode, it.UID, it.GID)
			}
			list = append(list, line)
		}
		all = append(all, list)
	}
	return all
}

// dockerPlacer finds places on an image. Symlinks that lead to folders are
// followed, as a process in the image would.
type dockerPlacer struct {
	below *layers.Index
	at    map[string]int  // index in list, by path
	kinds map[string]byte // of what this layer puts there
	list  []dockerPlaced
}

// source places one source: a file under its name in a folder, or at the
// destination itself; what a folder or an archive holds in the destination.
func (p *dockerPlacer) source(dest string, index int, s dockerSource) error {
	at, kind, err := p.real(dest)
	if err != nil {
		return err
	}
	first := s.Items[0]
	folder := first.isDir() || s.Spread
	switch {
	case folder && kind != 0 && kind != tar.TypeDir:
		return fmt.Errorf("/%s is no folder in the image, and a folder goes there", at)
	case !folder && (kind == tar.TypeDir || strings.HasSuffix(dest, "/") || at == "."):
		if kind != 0 && kind != tar.TypeDir {
			return fmt.Errorf("/%s is no folder in the image", at)
		}
		if at, _, err = p.real("/" + path.Join(at, s.Name)); err != nil {
			return err
		}
	}
	if !folder {
		return p.put(at, first, index, 0)
	}
	p.folders(at)
	for i, it := range s.Items {
		if it.Target == "." {
			continue
		}
		if err := p.nested(path.Join(at, it.Target), it, index, i); err != nil {
			return err
		}
	}
	return nil
}

// nested places what a folder holds. A symlink in the image that leads to a
// folder stays where a folder comes.
func (p *dockerPlacer) nested(target string, it item, source, index int) error {
	if it.isDir() {
		at, kind, err := p.real("/" + target)
		switch {
		case err != nil:
			return err
		case kind == tar.TypeDir:
			if n, ok := p.below.Node(at); ok && p.kinds[at] == 0 && n.Mode == it.Mode && n.UID == it.UID && n.GID == it.GID {
				return nil
			}
			p.add(at, it.Kind, source, index)
			return nil
		}
		return p.put(at, it, source, index)
	}
	dir, _, err := p.real("/" + path.Dir(target))
	if err != nil {
		return err
	}
	return p.put(path.Join(dir, path.Base(target)), it, source, index)
}

// put adds an item, and the folders above it that are lacking.
func (p *dockerPlacer) put(at string, it item, source, index int) error {
	kind := p.kind(at)
	if kind == tar.TypeDir && !it.isDir() {
		return fmt.Errorf("/%s is a folder in the image, and a file goes there", at)
	}
	if kind != 0 && kind != tar.TypeDir && it.isDir() {
		return fmt.Errorf("/%s is no folder in the image, and a folder goes there", at)
	}
	p.folders(path.Dir(at))
	p.add(at, it.Kind, source, index)
	return nil
}

// folders adds a folder and those above it, where there is none.
func (p *dockerPlacer) folders(dir string) {
	if dir == "." || p.kind(dir) != 0 {
		return
	}
	p.folders(path.Dir(dir))
	p.add(dir, tar.TypeDir, -1, 0)
}

// keepFolders adds the folders on the way that must not be implied.
func (p *dockerPlacer) keepFolders() {
	for _, e := range slices.Clone(p.list) {
		for dir := path.Dir(e.Path); dir != "." && p.kinds[dir] == 0; dir = path.Dir(dir) {
			n, ok := p.below.Node(dir)
			if !ok || n.AsImplied() {
				continue
			}
			p.add(dir, tar.TypeDir, -1, 0)
			p.list[len(p.list)-1].Kept = &layers.Node{Mode: n.Mode, UID: n.UID, GID: n.GID}
		}
	}
}

// add notes an entry; of two at one place the later counts.
func (p *dockerPlacer) add(at string, kind byte, source, index int) {
	e := dockerPlaced{Path: at, Source: source, Item: index}
	if i, again := p.at[at]; again {
		p.list[i] = e
	} else {
		p.at[at] = len(p.list)
		p.list = append(p.list, e)
	}
	p.kinds[at] = kind
}

// kind is what is at a place by now; 0 for nothing.
func (p *dockerPlacer) kind(at string) byte {
	if at == "." {
		return tar.TypeDir
	}
	if k := p.kinds[at]; k != 0 {
		return k
	}
	if n, ok := p.below.Node(at); ok && n.Type != layers.TypeWhiteout {
		return n.Type
	}
	return 0
}

// real follows the symlinks of a path, the last name's too, and says what is
// there.
func (p *dockerPlacer) real(target string) (at string, kind byte, err error) {
	at = strings.TrimPrefix(path.Clean("/"+target), "/")
	for range 40 { // as many links as Linux follows
		if at == "" || at == "." {
			return ".", tar.TypeDir, nil
		}
		if p.kinds[at] != 0 {
			return at, p.kinds[at], nil
		}
		resolved, n, err := p.below.Resolve(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return resolved, p.kind(resolved), nil
		case err != nil:
			return "", 0, fmt.Errorf("/%s in the image: %w", at, err)
		case n.Type != tar.TypeSymlink:
			return resolved, n.Type, nil
		}
		at = path.Join("/", path.Dir(resolved), n.Link)[1:]
		if strings.HasPrefix(n.Link, "/") {
			at = strings.TrimPrefix(path.Clean(n.Link), "/")
		}
	}
	return "", 0, fmt.Errorf("%s in the image: too many symlinks", target)
}

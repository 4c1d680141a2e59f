package layers

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Listing is all that the entries of one layer say, by path; whiteouts by the
// names that they have in the archive.
type Listing struct {
	order  []string // as in the archive
	states map[string]FileState
}

// List reads a layer once. Limits are those of Extract by default; what is
// wrong with the archive is an *ArchiveError.
func List(ctx context.Context, l v1.Layer) (*Listing, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	list := &Listing{states: map[string]FileState{}}
	archive := newArchiveReader(ctx, r, Limits{})
	for {
		e, err := archive.next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		digest, err := archive.digest(e)
		if err != nil {
			return nil, err
		}
		list.order = append(list.order, e.Path)
		list.states[e.Path] = e.state(digest)
	}
}

func (e *Entry) state(digest string) FileState {
	s := e.node(digest).State()
	s.Time = e.ModTime.UTC().Format(time.RFC3339Nano)
	if e.Type == tar.TypeChar || e.Type == tar.TypeBlock {
		s.Device = fmt.Sprintf("%d:%d", e.Devmajor, e.Devminor)
	}
	for name, value := range e.Xattrs {
		if s.Attributes == nil {
			s.Attributes = map[string]string{}
		}
		s.Attributes[name] = strconv.Quote(value)
	}
	return s
}

// CompareListings lists how the entries of after differ from those of before,
// in tree order. reordered says that both have the same names, in another
// order.
func CompareListings(before, after *Listing) (list []Difference, reordered bool) {
	list = compareStates(before.states, after.states)
	reordered = !slices.Equal(before.order, after.order) && len(before.order) == len(after.order) &&
		!slices.ContainsFunc(list, func(d Difference) bool { return d.Change != Changed })
	return list, reordered
}

// ReadFiles reads the content of some regular files of a layer: those that
// want names, up to limit bytes each. A longer one, or one that is not there,
// is left out. A name that stands twice gives the last.
func ReadFiles(ctx context.Context, l v1.Layer, want func(path string) bool, limit int64) (map[string][]byte, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	found := map[string][]byte{}
	archive := newArchiveReader(ctx, r, Limits{})
	for {
		e, err := archive.next()
		if err == io.EOF {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		if e.Type != tar.TypeReg || !want(e.Path) {
			continue
		}
		delete(found, e.Path)
		if e.Size > limit {
			continue
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			return nil, err
		}
		found[e.Path] = data
	}
}

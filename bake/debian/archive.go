package debian

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say what to open and how.
type Options struct {
	Sources []Source
	// Arch is Debian's name of the architecture, HostArch when empty.
	Arch string
	// Cache keeps the indexes by their content; required.
	Cache Cache
	// HTTP reaches the mirrors; nil means a client with sensible time limits.
	HTTP *http.Client
	// Now judges keys and Valid-Until; zero means the machine's clock.
	Now time.Time
	// State is a folder that remembers the newest release seen of each source;
	// empty means that none is remembered.
	State string
}

// Archive is the verified content of some sources at one time.
type Archive struct {
	arch     string
	releases []Release
	universe *universe
}

// Release is one verified suite that an Archive was opened from.
type Release struct {
	Suite string
	// Date is when the archive made it.
	Date time.Time
	// SHA256 of the InRelease file.
	SHA256 string
	// Indexes that were read.
	Indexes []Index
}

// Index is one Packages file as the archive delivers it.
type Index struct {
	// Path below dists/<suite>/, such as "main/binary-amd64/Packages.xz".
	Path   string
	Size   int64
	SHA256 string
}

// errNoIndex is wrapped when a release does not list an index.
var errNoIndex = errors.New("release lists no such index")

// Open reads the sources: each InRelease file is verified (ErrUntrusted when
// its signature does not hold), must be for the suite asked for, not past its
// Valid-Until and not older than the one seen before; the indexes must be the
// ones it lists. An archive that changes meanwhile is read once more.
func Open(ctx context.Context, o Options) (*Archive, error) {
	if o.Arch == "" {
		o.Arch = HostArch()
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if len(o.Sources) == 0 {
		return nil, errors.New("no archive to read: no source given")
	}
	t := newTransport(o.HTTP)
	results := make([]*opened, len(o.Sources))
	group, gctx := errgroup.WithContext(ctx)
	for i, source := range o.Sources {
		group.Go(func() (err error) {
			results[i], err = openSource(gctx, t, o, source)
			if err != nil {
				return fmt.Errorf("suite %s: %w", source.Suite, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return assemble(o, results)
}

// assemble joins what the sources delivered, in their order.
func assemble(o Options, results []*opened) (*Archive, error) {
	a := &Archive{arch: o.Arch}
	var indexes []*index
	pins := map[string]int{}
	var absent error
	for i, r := range results {
		if r.untrusted != nil {
			absent = cmp.Or(absent, fmt.Errorf("suite %s: %w", o.Sources[i].Suite, r.untrusted))
			continue
		}
		if r.release == nil {
			continue
		}
		a.releases = append(a.releases, r.meta)
		indexes = append(indexes, r.indexes...)
		pins[o.Sources[i].Suite] = r.release.pin
	}
	for _, s := range o.Sources {
		if _, there := pins[s.Suite]; !there && !s.Optional {
			return nil, cmp.Or(absent, fmt.Errorf("suite %s: no archive has it", s.Suite))
		}
	}
	if len(a.releases) == 0 {
		return nil, errors.New("no archive has any of the suites")
	}
	for i, r := range results {
		if r.release == nil {
			continue
		}
		if err := remember(o.State, o.Sources[i], r.release.date); err != nil {
			return nil, err
		}
	}
	a.universe = newUniverse(o.Arch, indexes, pins)
	return a, nil
}

// Date is the newest date of the releases.
func (a *Archive) Date() time.Time {
	return slices.MaxFunc(a.releases, func(x, y Release) int { return x.Date.Compare(y.Date) }).Date
}

// Arch is the architecture that the archive was opened for.
func (a *Archive) Arch() string { return a.arch }

// Releases are the verified suites, in the order of the sources.
func (a *Archive) Releases() []Release { return slices.Clone(a.releases) }

// opened is what one source delivered: nothing when it is optional and absent,
// untrusted when it was assumed to be the distribution's and is not.
type opened struct {
	release   *release
	meta      Release
	indexes   []*index
	untrusted error
}

func openSource(ctx context.Context, t transport, o Options, s Source) (*opened, error) {
	keys, err := loadKeyring(s.Keyring)
	if err != nil {
		return nil, err
	}
	var changed error
	for try := range 2 {
		data, err := readRelease(ctx, t, s, try > 0)
		if s.Optional && errors.Is(err, fs.ErrNotExist) {
			return &opened{}, absentBefore(o.State, s)
		}
		if err != nil {
			return nil, err
		}
		r := &opened{meta: Release{Suite: s.Suite, SHA256: sum(data)}}
		body, err := verifyInRelease(data, keys, o.Now)
		if s.Assumed && errors.Is(err, errUnknownKey) {
			return &opened{untrusted: err}, nil
		}
		if err != nil {
			return nil, err
		}
		if r.release, err = checkedRelease(body, o, s); err != nil {
			return nil, err
		}
		r.meta.Date = r.release.date
		if err = r.readIndexes(ctx, t, o, s); err == nil {
			return r, nil
		}
		if !errors.Is(err, errMismatch) && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		changed = err
	}
	return nil, fmt.Errorf("%w: the archive changed while it was read, or a cache on the way is stale: try again later", changed)
}

// maxRelease bounds an InRelease file; Debian's have 150 KB.
const maxRelease = 16 << 20

func readRelease(ctx context.Context, t transport, s Source, fresh bool) ([]byte, error) {
	var data []byte
	err := t.get(ctx, s.Mirror, "dists/"+s.Suite+"/InRelease", fresh, func(r io.Reader) (err error) {
		data, err = io.ReadAll(io.LimitReader(r, maxRelease+1))
		if len(data) > maxRelease {
			return fmt.Errorf("InRelease is larger than %d bytes", maxRelease)
		}
		return err
	})
	return data, err
}

func checkedRelease(body string, o Options, s Source) (*release, error) {
	r, err := parseRelease(body)
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	if err := r.checkSuite(s.Suite); err != nil {
		return nil, err
	}
	if !s.IgnoreValidUntil {
		if err := r.checkValidUntil(o.Now); err != nil {
			return nil, err
		}
	}
	return r, checkNotOlder(o.State, s, r.date)
}

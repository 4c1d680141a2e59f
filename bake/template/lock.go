package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

// LockFileName is the name of a lock beside its template.
const LockFileName = "kiln.lock"

// LockSchema is the version of the lock's format.
const LockSchema = "kiln.lock/v1"

// Lock pins what a template leaves open. It names no host: any mirror that has
// the same bytes will do.
type Lock struct {
	Images map[string]LockedImage // by Image.LockName
}

// LockedImage pins one image.
type LockedImage struct {
	Inputs     string          // hash of what the template says; see Inputs
	Timestamp  time.Time       // UTC, whole seconds; see Update
	Suite      string          // "" for an image without packages
	Variant    string          // of the base; "" beside a parent
	Arch       string          // Debian's name of the architecture
	FromDigest string          // digest of a parent outside the template
	Packages   []LockedPackage // what the packages layer installs, sorted by name, architecture and version
	// Froms are the digests of images that steps read and whose reference does
	// not say it, by reference; Git the commits of git steps, by Git.Key.
	Froms map[string]string
	Git   map[string]string
	Go    string // version that compiles the image's programs, as go1.26.0
}

// LockedPackage pins one .deb.
type LockedPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Arch    string `json:"arch"`
	Suite   string `json:"suite"`  // of the index that lists it
	Path    string `json:"path"`   // below the archive's base URL
	Size    int64  `json:"size"`   // bytes
	SHA256  string `json:"sha256"` // hex
}

// StaleError says that a lock was made for another template.
type StaleError struct {
	Images []string // names of images, in recipe order
}

func (e *StaleError) Error() string {
	return fmt.Sprintf("%s does not cover image %s: its packages, suite or parent are not those that were locked (run kiln lock)",
		LockFileName, strings.Join(quoted(e.Images), ", "))
}

func quoted(names []string) []string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = fmt.Sprintf("%q", n)
	}
	return list
}

// NeedsLock says whether something of im can be pinned: packages, a parent
// outside the template, or what steps read that moves.
func NeedsLock(im *Image) bool {
	return im.Installs() || (im.From.Kind != FromScratch && im.From.Kind != FromImage) || len(im.Moving()) > 0
}

// Inputs is the hash of all that decides which packages and parent im gets:
// its own words and its parent's inputs. Mirrors are not among them.
func Inputs(im *Image) string {
	type source struct {
		Suite      string
		Components []string
	}
	in := struct {
		Platform, Suite, Variant     string
		Components, Packages         []string
		Sources                      []source
		Kind                         FromKind
		Name, Channel, Digest, Below string
		Moving                       []string `json:",omitempty"`
	}{
		Platform: im.Platform(), Suite: im.Suite(), Packages: im.AllPackages(),
		Kind: im.From.Kind, Name: im.From.Name, Channel: im.From.Channel, Digest: im.From.Digest,
		Moving: im.Moving(),
	}
	if d := im.Debian; d != nil {
		in.Variant, in.Components = d.Variant, d.Components
		for _, s := range d.Sources {
			in.Sources = append(in.Sources, source{s.Suite, s.Components})
		}
	}
	if p := im.Parent(); p != nil {
		in.Below = Inputs(p)
	}
	text, err := json.Marshal(in)
	if err != nil {
		panic(err) // strings and slices of them always encode
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Stale are the images of a recipe that the lock does not pin as they are
// written; a nil lock pins none.
func (l *Lock) Stale(r *Recipe) []*Image {
	var list []*Image
	for _, im := range r.Images {
		if !NeedsLock(im) {
			continue
		}
		if locked, ok := l.image(im.LockName()); !ok || locked.Inputs != Inputs(im) {
			list = append(list, im)
		}
	}
	return list
}

func (l *Lock) image(name string) (LockedImage, bool) {
	if l == nil {
		return LockedImage{}, false
	}
	locked, ok := l.Images[name]
	return locked, ok
}

// Covers is nil when every image of the recipe is pinned as it is written,
// else a [*StaleError].
func (l *Lock) Covers(r *Recipe) error {
	stale := l.Stale(r)
	if len(stale) == 0 {
		return nil
	}
	e := &StaleError{}
	for _, im := range stale {
		e.Images = append(e.Images, im.LockName())
	}
	return e
}

// Timestamp is the time of im: its own where it has packages, else that of the
// nearest parent in the recipe that has. ok is false when only a parent
// outside the recipe, or none, could say.
func (l *Lock) Timestamp(im *Image) (t time.Time, ok bool) {
	for ; im != nil; im = im.Parent() {
		if im.Installs() {
			locked, ok := l.image(im.LockName())
			return locked.Timestamp, ok
		}
	}
	return time.Time{}, false
}

// Prune drops what is pinned for images that the recipe does not have.
func (l *Lock) Prune(r *Recipe) {
	needed := map[string]bool{}
	for _, im := range r.Images {
		needed[im.LockName()] = NeedsLock(im)
	}
	for name := range l.Images {
		if !needed[name] {
			delete(l.Images, name)
		}
	}
}

// Update gives a newly resolved image its timestamp: the archive's newest
// Release date, unless old holds the same packages, whose time then stays.
func Update(old *LockedImage, next LockedImage, release time.Time) LockedImage {
	next.Packages = slices.Clone(next.Packages)
	sortPackages(next.Packages)
	next.Timestamp = release.UTC().Truncate(time.Second)
	if old != nil && old.Arch == next.Arch && samePackages(old.Packages, next.Packages) {
		next.Timestamp = old.Timestamp
	}
	return next
}

// samePackages compares what would be installed, not where it was found.
func samePackages(a, b []LockedPackage) bool {
	same := func(x, y LockedPackage) bool {
		return x.Name == y.Name && x.Version == y.Version && x.Arch == y.Arch && x.SHA256 == y.SHA256
	}
	a = slices.Clone(a)
	sortPackages(a)
	return slices.EqualFunc(a, b, same)
}

func sortPackages(list []LockedPackage) {
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		if a.Arch != b.Arch {
			return a.Arch < b.Arch
		}
		return a.Version < b.Version
	})
}
